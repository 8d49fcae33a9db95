// Goal:   whatever the transactions and the limits are, the messages say exactly what the WAL said,
// in its order. Method: random transactions of a few tables go through decoder and plan; the
// messages are read back with the codec and unrolled into row changes,
//         which are compared with those that a naive reading of the same transactions gives. The
//         seed is in the trace of each failure.
#include <algorithm>
#include <map>
#include <ostream>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/subject.h"
#include "tests/publisher/core/plan_harness.h"

namespace pmoves {
namespace {

// One row change as the receiver understands it.
struct Change {
  Lsn position;
  std::string table;
  proto::Operation operation = proto::Operation::kInsert;
  std::map<std::string, std::string> data;
  std::map<std::string, std::string> key;
  std::vector<std::string> unchanged;

  bool operator==(const Change&) const = default;
};

std::ostream& operator<<(std::ostream& out, const Change& change) {
  out << change.position.ToString() << " " << proto::OperationName(change.operation) << " "
      << change.table;
  for (const auto& [name, value] : change.data) out << " " << name << "=" << value;
  for (const auto& [name, value] : change.key) out << " key " << name << "=" << value;
  for (const std::string& name : change.unchanged) out << " unchanged " << name;
  return out;
}

struct VersionedChange {
  Change change;
  Hlc hlc;
  bool operator==(const VersionedChange&) const = default;
};

enum class Identity { kDefault, kFull };

struct TestTable {
  const char* name;
  std::vector<RelationColumn> columns;
  Identity identity;
};

const std::vector<TestTable>& Tables() {
  static const auto& tables = *new std::vector<TestTable>{
      {"plain", {Key("id"), Column("n")}, Identity::kDefault},
      {"wide",
       {Column("n"), ToastedKey("path"), Toasted("body"), Key("id"), Toasted("more")},
       Identity::kDefault},
      {"full", {Key("id"), Toasted("body"), Column("n")}, Identity::kFull},
      {"Quo\"ted", {Key("I d"), Column("caf\xc3\xa9")}, Identity::kDefault},
  };
  return tables;
}

// Random transactions, and what a receiver must get of them.
class World {
 public:
  explicit World(uint32_t seed) : random_(seed) {}

  uint32_t Below(uint32_t n) { return random_() % n; }
  bool OneIn(uint32_t n) { return Below(n) == 0; }

  Txn NextTransaction(std::vector<Change>* want) {
    position_ += 1 + Below(1000);
    commit_us_ += static_cast<int64_t>(Below(4000000)) - 1000000;
    Txn txn(position_, Below(1u << 31), commit_us_);
    // Mostly one row of one table, as small transactions are; sometimes a long mixture.
    const uint32_t changes = OneIn(8) ? Below(60) : Below(3);
    for (uint32_t i = 0; i < changes; ++i) {
      if (OneIn(6)) table_ = Below(static_cast<uint32_t>(Tables().size()));
      if (OneIn(6)) kind_ = Below(3);
      AddChange(Tables()[table_], OneIn(40) ? 3 : kind_, &txn, want);
    }
    return txn;
  }

 private:
  std::string Value(const RelationColumn& column) {
    if (!column.toastable) return std::to_string(Below(column.key ? 5 : 1000));
    const uint32_t size = OneIn(12) ? Below(1500) : Below(30);
    return OneIn(10) && !column.key
               ? "null"
               : "\"" + std::string(size, 'x') + std::to_string(Below(5)) + "\"";
  }

  void AddChange(const TestTable& table, uint32_t kind, Txn* txn, std::vector<Change>* want) {
    Change change;
    change.position = txn->position();
    change.table = table.name;
    Cells columns;
    Cells identity;
    const bool update = kind == 1;
    for (const RelationColumn& column : table.columns) {
      const std::string old_value = Value(column);
      const std::string new_value = OneIn(column.key ? 5 : 2) ? Value(column) : old_value;
      const bool in_identity = column.key || table.identity == Identity::kFull;
      // wal2json writes no nulls into the identity.
      if (in_identity && old_value != "null") identity.push_back({column.name, old_value});
      const bool left_out =
          update && column.toastable && old_value == new_value && old_value != "null" && OneIn(2);
      if (!left_out) columns.push_back({column.name, update ? new_value : old_value});
      if (left_out && !in_identity) {
        change.unchanged.push_back(column.name);
      } else {
        change.data[column.name] = update ? new_value : old_value;
      }
      if (column.key) {
        change.key[column.name] = old_value;
        key_changed_ = key_changed_ || (update && old_value != new_value);
      }
    }
    switch (kind) {
      case 0:
        txn->Insert(table.name, columns);
        change.key.clear();
        break;
      case 1:
        txn->Update(table.name, columns, identity);
        break;
      case 2:
        txn->Delete(table.name, identity);
        change.data.clear();
        break;
      default:
        txn->Truncate(table.name);
        change.key.clear();
        change.data.clear();
    }
    if (update && !key_changed_) change.key.clear();
    key_changed_ = false;
    constexpr proto::Operation kOperations[] = {
        proto::Operation::kInsert, proto::Operation::kUpdate, proto::Operation::kDelete,
        proto::Operation::kTruncate};
    change.operation = kOperations[kind];
    want->push_back(std::move(change));
  }

  std::mt19937 random_;
  uint64_t position_ = 0x100;
  size_t table_ = 0;  // of the change before; neighbours are often alike
  uint32_t kind_ = 0;
  int64_t commit_us_ = kSomeCommitUs;
  bool key_changed_ = false;
};

// Follows the reader's rule (design: position, previous, chunk, last) and unrolls messages into row
// changes.
class Receiver {
 public:
  explicit Receiver(size_t max_message_bytes) : max_message_bytes_(max_message_bytes) {}

  void Take(const OutgoingMessage& message) {
    const proto::Envelope& envelope = message.envelope;
    SCOPED_TRACE(testing::Message() << message.subject << " " << envelope.position.ToString()
                                    << " #" << envelope.chunk);
    ASSERT_LE(message.body.size(), max_message_bytes_);
    ASSERT_NO_FATAL_FAILURE(CheckOrder(envelope));
    if (envelope.part == 0) {
      body_.clear();
      changes_ = 0;
    }
    body_ += message.body;
    changes_ += message.changes;
    if (envelope.part + 1 < envelope.parts) return;
    proto::Body body;
    ASSERT_THAT(reader_.Read(&body_, &body), IsOk());
    if (envelope.parts > 1) {
      ASSERT_EQ(body.changes(), 1u) << "only a row alone is sent in parts";
    }
    const absl::StatusOr<proto::Subject> subject = proto::ParseSubject(message.subject);
    ASSERT_THAT(subject, IsOk());
    ASSERT_EQ(body.table, subject->table);
    ASSERT_EQ(body.operation, subject->operation);
    ASSERT_EQ(body.commit_us, message.commit_us);
    ASSERT_EQ(body.changes(), changes_);
    ASSERT_NO_FATAL_FAILURE(Unroll(envelope, body));
  }

  bool inside_transaction() const { return inside_; }
  size_t messages() const { return messages_; }
  size_t groups() const { return groups_; }
  size_t parts() const { return parts_; }
  const std::vector<VersionedChange>& changes() const { return all_; }

 private:
  void CheckOrder(const proto::Envelope& envelope) {
    ++messages_;
    if (envelope.part > 0) ++parts_;
    ASSERT_EQ(envelope.previous, completed_);
    ASSERT_GT(envelope.position, completed_);
    ASSERT_EQ(envelope.chunk, inside_ ? next_chunk_ : 0);
    if (inside_) {
      ASSERT_EQ(envelope.position, current_);
    }
    inside_ = !envelope.last;
    current_ = envelope.position;
    next_chunk_ = envelope.chunk + 1;
    if (envelope.last) completed_ = envelope.position;
    if (envelope.part > 0) {
      ASSERT_EQ(envelope.hlc, part_hlc_) << "all parts are of the same row";
    } else {
      ASSERT_GT(envelope.hlc, hlc_);
      part_hlc_ = envelope.hlc;
    }
  }

  void Unroll(const proto::Envelope& envelope, const proto::Body& body) {
    std::vector<proto::TransactionEntry> transactions = body.transactions;
    if (transactions.empty()) {
      transactions.push_back({envelope.position, envelope.xid, body.commit_us, envelope.hlc,
                              static_cast<uint32_t>(body.changes())});
    } else {
      ++groups_;
      ASSERT_EQ(envelope.chunk, 0u);
      ASSERT_TRUE(envelope.last);
      ASSERT_EQ(transactions.front().hlc, envelope.hlc);
      ASSERT_EQ(transactions.back().position, envelope.position);
      ASSERT_EQ(transactions.back().xid, envelope.xid);
      ASSERT_GT(transactions.front().position, envelope.previous);
    }
    size_t row = 0;
    for (const proto::TransactionEntry& transaction : transactions) {
      const int64_t first = std::max(hlc_.value + 1, transaction.commit_us / 1000 << 16);
      ASSERT_EQ(transaction.hlc.value, first) << "the fold of design 2";
      for (uint32_t i = 0; i < transaction.rows; ++i, ++row) {
        hlc_.value = transaction.hlc.value + i;
        all_.push_back({ChangeOf(body, row, transaction.position), hlc_});
      }
    }
  }

  static Change ChangeOf(const proto::Body& body, size_t row, Lsn position) {
    Change change;
    change.position = position;
    change.table = body.table;
    change.operation = body.operation;
    change.unchanged = body.unchanged;
    Fill(body.data_columns, body.data_offsets, row, &change.data);
    Fill(body.key_columns, body.key_offsets, row, &change.key);
    return change;
  }

  static void Fill(const std::vector<proto::RawColumn>& columns,
                   const std::vector<uint32_t>& offsets, size_t row,
                   std::map<std::string, std::string>* out) {
    if (row + 1 >= offsets.size()) return;
    for (uint32_t i = offsets[row]; i < offsets[row + 1]; ++i) {
      std::string name;
      ASSERT_THAT(proto::AppendTokenText(columns[i].name, &name), IsOk());
      ASSERT_TRUE(out->emplace(name, columns[i].value).second) << "a column twice";
    }
  }

  size_t max_message_bytes_;
  proto::BodyReader reader_;
  std::string body_;
  uint32_t changes_ = 0;
  Lsn completed_;
  Lsn current_;
  uint32_t next_chunk_ = 0;
  bool inside_ = false;
  Hlc hlc_;       // of the last row change
  Hlc part_hlc_;  // of the last message
  size_t messages_ = 0;
  size_t groups_ = 0;
  size_t parts_ = 0;
  std::vector<VersionedChange> all_;
};

// What must keep its order: changes of one table in one transaction, and truncates among all
// changes of it.
std::map<std::string, std::vector<Change>> ByTable(const std::vector<Change>& changes) {
  std::map<std::string, std::vector<Change>> lanes;
  for (const Change& change : changes) {
    for (const TestTable& table : Tables()) {
      if (change.table == table.name || change.operation == proto::Operation::kTruncate) {
        lanes[table.name].push_back(change);
      }
    }
  }
  return lanes;
}

MessagePlan::Options RandomOptions(World* world) {
  MessagePlan::Options options = PlanOptions();
  options.max_message_bytes = 250 + world->Below(world->OneIn(2) ? 500 : 20000);
  options.max_open_bytes = world->OneIn(2) ? 300 + world->Below(3000) : 1024 * 1024;
  options.max_group_transactions = 1 + world->Below(world->OneIn(2) ? 4 : 100);
  return options;
}

// Runs all through one plan. `flush` says after which transactions the group leaves.
void SendAll(const MessagePlan::Options& options, const std::vector<Txn>& transactions,
             const std::vector<bool>& flush, Receiver* receiver) {
  PlanHarness harness(options);
  uint32_t oid = 16384;
  for (const TestTable& table : Tables()) harness.AddTable(Table(table.name, table.columns, oid++));
  const auto drain = [&] {
    for (const OutgoingMessage& message : harness.Take()) {
      if (testing::Test::HasFatalFailure()) return;
      ASSERT_NO_FATAL_FAILURE(receiver->Take(message));
    }
  };
  for (size_t i = 0; i < transactions.size(); ++i) {
    size_t largest = 0;
    for (const std::string& payload : transactions[i].ChangePayloads())
      largest = std::max(largest, payload.size());
    harness.Feed(transactions[i], [&] {
      ASSERT_LE(harness.plan().open_bytes(),
                options.max_open_bytes + options.max_message_bytes + largest + 300);
      drain();
    });
    if (flush[i]) harness.plan().FlushGroup();
    drain();
    if (testing::Test::HasFatalFailure()) return;
  }
  harness.plan().FlushGroup();
  drain();
  EXPECT_EQ(harness.plan().open_bytes(), 0u);
  EXPECT_FALSE(receiver->inside_transaction()) << "the last transaction has no last message";
}

TEST(MessagePlanPropertyTest, MessagesSayWhatTheWalSaid) {
  size_t messages = 0;
  size_t groups = 0;
  size_t parts = 0;
  for (uint32_t seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    World world(seed);
    const MessagePlan::Options options = RandomOptions(&world);
    std::vector<Change> want;
    std::vector<Txn> transactions;
    std::vector<bool> flush;
    for (int i = 0; i < 60; ++i) {
      transactions.push_back(world.NextTransaction(&want));
      flush.push_back(world.OneIn(7));
    }
    Receiver receiver(options.max_message_bytes);
    SendAll(options, transactions, flush, &receiver);
    if (testing::Test::HasFatalFailure()) return;

    std::vector<Change> got;
    for (const VersionedChange& change : receiver.changes()) got.push_back(change.change);
    ASSERT_EQ(got.size(), want.size());
    ASSERT_EQ(ByTable(got), ByTable(want));
    messages += receiver.messages();
    groups += receiver.groups();
    parts += receiver.parts();
  }
  // The test is worth nothing if these do not happen.
  EXPECT_GT(messages, 5000u);
  EXPECT_GT(groups, 500u);
  EXPECT_GT(parts, 500u);
}

TEST(MessagePlanPropertyTest, GroupsSayTheSameAsSingleTransactions) {
  for (uint32_t seed = 1; seed <= 80; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    World world(seed);
    MessagePlan::Options options = RandomOptions(&world);
    options.max_group_transactions = 1000;
    std::vector<Change> ignored;
    std::vector<Txn> transactions;
    for (int i = 0; i < 80; ++i) transactions.push_back(world.NextTransaction(&ignored));
    Receiver grouped(options.max_message_bytes);
    SendAll(options, transactions, std::vector<bool>(transactions.size(), false), &grouped);
    Receiver single(options.max_message_bytes);
    SendAll(options, transactions, std::vector<bool>(transactions.size(), true), &single);
    if (testing::Test::HasFatalFailure()) return;
    ASSERT_EQ(single.groups(), 0u);
    ASSERT_LE(grouped.messages(), single.messages());
    ASSERT_EQ(grouped.changes(), single.changes());
  }
}

}  // namespace
}  // namespace pmoves
