#include "publisher/core/row_shape.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/builders.h"
#include "tests/testing/status_matchers.h"

namespace pmoves {
namespace {

using Names = std::vector<std::string>;

Cells Copy(std::span<const proto::RawColumn> columns) {
  Cells cells;
  for (const proto::RawColumn& column : columns) {
    // Without the quotes of the name.
    cells.push_back(
        {std::string(column.name.substr(1, column.name.size() - 2)), std::string(column.value)});
  }
  return cells;
}

struct Case {
  const char* name;
  Relation relation;
  Txn change;  // with one change in it
  Cells data;
  Cells key;
  Names unchanged;
};

Relation Jobs() { return Table("t", {Key("id"), Toasted("body"), Column("n")}); }
// The same under REPLICA IDENTITY FULL: the catalog says no more of it, the old row in the WAL is
// whole.
Relation JobsFull() { return Jobs(); }

std::vector<Case> Cases() {
  return {
      {"an insert passes as it is",
       Jobs(),
       Txn(1).Insert("t", {{"id", "1"}, {"body", "null"}, {"n", "3"}}),
       {{"id", "1"}, {"body", "null"}, {"n", "3"}},
       {},
       {}},
      {"an insert without a toastable column names nothing unchanged",
       Jobs(),
       Txn(1).Insert("t", {{"id", "1"}, {"n", "3"}}),
       {{"id", "1"}, {"n", "3"}},
       {},
       {}},
      {"an update with the same key needs no key",
       Jobs(),
       Txn(1).Update("t", {{"id", "1"}, {"body", "\"b\""}, {"n", "3"}}, {{"id", "1"}}),
       {{"id", "1"}, {"body", "\"b\""}, {"n", "3"}},
       {},
       {}},
      {"an update of the key carries the old one",
       Jobs(),
       Txn(1).Update("t", {{"id", "2"}, {"body", "\"b\""}, {"n", "3"}}, {{"id", "1"}}),
       {{"id", "2"}, {"body", "\"b\""}, {"n", "3"}},
       {{"id", "1"}},
       {}},
      {"unchanged TOAST is named",
       Jobs(),
       Txn(1).Update("t", {{"id", "1"}, {"n", "3"}}, {{"id", "1"}}),
       {{"id", "1"}, {"n", "3"}},
       {},
       {"body"}},
      {"unchanged TOAST is named when the key changes",
       Jobs(),
       Txn(1).Update("t", {{"id", "2"}, {"n", "3"}}, {{"id", "1"}}),
       {{"id", "2"}, {"n", "3"}},
       {{"id", "1"}},
       {"body"}},
      {"an absent column that cannot be toasted is not called unchanged",
       Jobs(),
       Txn(1).Update("t", {{"id", "1"}, {"body", "\"b\""}}, {{"id", "1"}}),
       {{"id", "1"}, {"body", "\"b\""}},
       {},
       {}},
      {"FULL: unchanged TOAST comes from the old row, in its place",
       JobsFull(),
       Txn(1).Update("t", {{"id", "1"}, {"n", "4"}},
                     {{"id", "1"}, {"body", "\"old\""}, {"n", "3"}}),
       {{"id", "1"}, {"body", "\"old\""}, {"n", "4"}},
       {},
       {}},
      {"FULL: another column changed is no change of the key",
       JobsFull(),
       Txn(1).Update("t", {{"id", "1"}, {"body", "\"new\""}, {"n", "4"}},
                     {{"id", "1"}, {"body", "\"old\""}, {"n", "3"}}),
       {{"id", "1"}, {"body", "\"new\""}, {"n", "4"}},
       {},
       {}},
      {"FULL: the old key is cut out of the old row",
       JobsFull(),
       Txn(1).Update("t", {{"id", "2"}, {"body", "\"b\""}, {"n", "4"}},
                     {{"id", "1"}, {"body", "\"b\""}, {"n", "3"}}),
       {{"id", "2"}, {"body", "\"b\""}, {"n", "4"}},
       {{"id", "1"}},
       {}},
      {"FULL: a delete is cut to the key",
       JobsFull(),
       Txn(1).Delete("t", {{"id", "1"}, {"body", "\"b\""}, {"n", "3"}}),
       {},
       {{"id", "1"}},
       {}},
      {"a toasted key that did not change is taken from the old row",
       Table("t", {Column("n"), ToastedKey("path"), Key("id")}),
       Txn(1).Update("t", {{"n", "1"}, {"id", "7"}}, {{"path", "\"long\""}, {"id", "7"}}),
       {{"n", "1"}, {"path", "\"long\""}, {"id", "7"}},
       {},
       {}},
      {"a composite key of which one part changed is sent whole",
       Table("t", {Column("n"), ToastedKey("path"), Key("id")}),
       Txn(1).Update("t", {{"n", "1"}, {"id", "8"}}, {{"path", "\"long\""}, {"id", "7"}}),
       {{"n", "1"}, {"path", "\"long\""}, {"id", "8"}},
       {{"path", "\"long\""}, {"id", "7"}},
       {}},
      {"a delete carries the whole key",
       Table("t", {Key("a"), Column("n"), Key("b")}),
       Txn(1).Delete("t", {{"a", "1"}, {"b", "2"}}),
       {},
       {{"a", "1"}, {"b", "2"}},
       {}},
      {"a column that the catalog does not know yet passes",
       Jobs(),
       Txn(1).Update("t", {{"id", "1"}, {"n", "3"}, {"later", "5"}},
                     {{"id", "1"}, {"body", "\"b\""}, {"n", "2"}}),
       {{"id", "1"}, {"body", "\"b\""}, {"n", "3"}, {"later", "5"}},
       {},
       {}},
      {"where the catalog calls nothing of the identity a key, all of it is",
       Jobs(),
       Txn(1).Delete("t", {{"uid", "\"u\""}}),
       {},
       {{"uid", "\"u\""}},
       {}},
      {"quoted names are matched by their tokens",
       Table("t", {Key("i\"d"), Toasted("b\\")}),
       Txn(1).Update("t", {{"i\"d", "1"}}, {{"i\"d", "1"}}),
       {{"i\\\"d", "1"}},
       {},
       {"b\\"}},
      {"a truncate has no row", Jobs(), Txn(1).Truncate("t"), {}, {}, {}},
  };
}

TEST(RowShapeTest, SaysWhatOfAChangeIsSent) {
  Wal2JsonDecoder decoder;
  RowShape reused;
  for (const Case& c : Cases()) {
    SCOPED_TRACE(c.name);
    ASSERT_OK_AND_ASSIGN(const WalChange* change, decoder.Decode(c.change.ChangePayloads()[0]));
    reused.Learn(*change, c.relation);
    EXPECT_TRUE(reused.Fits(*change, c.relation));
    const PlannedRow row = reused.Plan(*change);
    EXPECT_EQ(Copy(row.data), c.data);
    EXPECT_EQ(Copy(row.key), c.key);
    EXPECT_EQ(reused.unchanged(), c.unchanged);
    EXPECT_EQ(reused.unchanged_bytes() == 0, c.unchanged.empty());
  }
}

TEST(RowShapeTest, FitsOnlyWhatItHasLearnt) {
  const std::vector<Case> cases = Cases();
  Wal2JsonDecoder first;
  Wal2JsonDecoder second;
  for (size_t i = 0; i < cases.size(); ++i) {
    ASSERT_OK_AND_ASSIGN(const WalChange* a, first.Decode(cases[i].change.ChangePayloads()[0]));
    RowShape shape;
    shape.Learn(*a, cases[i].relation);
    for (const Case& other : cases) {
      ASSERT_OK_AND_ASSIGN(const WalChange* b, second.Decode(other.change.ChangePayloads()[0]));
      if (!shape.Fits(*b, other.relation)) continue;
      RowShape fresh;
      fresh.Learn(*b, other.relation);
      const PlannedRow got = shape.Plan(*b);
      const PlannedRow want = fresh.Plan(*b);
      EXPECT_EQ(Copy(got.data), Copy(want.data)) << cases[i].name << " / " << other.name;
      EXPECT_EQ(Copy(got.key), Copy(want.key)) << cases[i].name << " / " << other.name;
      EXPECT_EQ(shape.unchanged(), fresh.unchanged()) << cases[i].name << " / " << other.name;
    }
  }
}

TEST(RowShapeTest, ARefreshedCatalogIsNoticed) {
  Wal2JsonDecoder decoder;
  ASSERT_OK_AND_ASSIGN(
      const WalChange* change,
      decoder.Decode(
          Txn(1).Update("t", {{"id", "1"}, {"n", "3"}}, {{"id", "1"}}).ChangePayloads()[0]));
  Relation relation = Jobs();
  RowShape shape;
  shape.Learn(*change, relation);
  relation.columns[1].toastable = false;
  EXPECT_FALSE(shape.Fits(*change, relation));
  relation = Jobs();
  relation.columns[2].key = true;
  EXPECT_FALSE(shape.Fits(*change, relation));
  relation = Jobs();
  relation.columns.push_back(Column("later"));
  EXPECT_FALSE(shape.Fits(*change, relation));
  relation = Jobs();
  relation.oid = 5;
  EXPECT_FALSE(shape.Fits(*change, relation));
}

TEST(RowShapeTest, RowsOfTwoLayoutsMayShareAMessageWhenTheyLeaveAlike) {
  Wal2JsonDecoder decoder;
  const Relation relation = JobsFull();
  RowShape whole;
  RowShape completed;
  RowShape unchanged;
  const auto learn = [&](RowShape* shape, const Txn& txn) {
    shape->Learn(*decoder.Decode(txn.ChangePayloads()[0]).value(), relation);
  };
  learn(&whole, Txn(1).Update("t", {{"id", "1"}, {"body", "\"b\""}, {"n", "3"}},
                              {{"id", "1"}, {"body", "\"b\""}}));
  learn(&completed,
        Txn(1).Update("t", {{"id", "1"}, {"n", "3"}}, {{"id", "1"}, {"body", "\"b\""}}));
  learn(&unchanged, Txn(1).Update("t", {{"id", "1"}, {"n", "3"}}, {{"id", "1"}}));
  EXPECT_TRUE(whole.SameColumns(completed));
  EXPECT_FALSE(whole.SameColumns(unchanged));
}

}  // namespace
}  // namespace pmoves
