// Tables of the centre and changes on them, for tests of the subscriber's core.
#ifndef PMOVES_TESTS_TESTING_TARGET_TABLES_H_
#define PMOVES_TESTS_TESTING_TARGET_TABLES_H_

#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "subscriber/core/change.h"
#include "subscriber/core/target_table.h"

namespace pmoves {

inline constexpr uint32_t kIntOid = 23;
inline constexpr uint32_t kTextTypeOid = 25;

// public.jobs (id integer primary key, status text, output text)
inline TargetTable JobsTable() {
  TargetTable table;
  table.oid = 16384;
  table.schema = "public";
  table.table = "jobs";
  table.columns = {{.name = "id", .type = "integer", .type_oid = kIntOid},
                   {.name = "status", .type = "text", .type_oid = kTextTypeOid},
                   {.name = "output", .type = "text", .type_oid = kTextTypeOid}};
  table.key = {0};
  return table;
}

// The same with identity: per-source.
inline TargetTable OwnJobsTable() {
  TargetTable table = JobsTable();
  table.key_has_source = true;
  table.policy.identity = Identity::kPerSource;
  return table;
}

// Adds changes to a set as the row decoder would.
class ChangeBuilder {
 public:
  ChangeBuilder(ChangeSet* set, TargetTable* table) : set_(set), table_(table) {}

  using Text = std::optional<std::string>;
  // columns: indexes into the table; the first must be the key (column 0).
  Change& Add(ChangeKind kind, const std::string& source, int64_t hlc, std::vector<int> columns,
              const std::vector<Text>& values) {
    Change change;
    change.table = table_;
    change.source = Intern(source);
    change.kind = kind;
    change.hlc = Hlc{hlc};
    if (kind != ChangeKind::kTruncate) {
      change.shape = &table_->Intern(std::move(columns));
      change.first_value = set_->values.size();
      for (const Text& value : values) {
        Value stored;
        stored.offset = set_->text.size();
        stored.is_null = !value.has_value();
        stored.length = value.has_value() ? static_cast<uint32_t>(value->size()) : 0;
        if (value.has_value()) set_->text += *value;
        set_->values.push_back(stored);
      }
      change.key_offset = set_->text.size();
      if (table_->key_has_source) AppendKeyPart(source);
      AppendKeyPart(*values[0]);
      change.key_length = static_cast<uint32_t>(set_->text.size() - change.key_offset);
    }
    set_->changes.push_back(change);
    return set_->changes.back();
  }
  Change& Whole(const std::string& source, int64_t hlc, const std::string& id,
                const std::string& status, const std::string& output = "out") {
    return Add(ChangeKind::kWhole, source, hlc, {0, 1, 2}, {id, status, output});
  }
  Change& Partial(const std::string& source, int64_t hlc, const std::string& id,
                  const std::string& status) {
    return Add(ChangeKind::kPartial, source, hlc, {0, 1}, {id, status});
  }
  Change& Delete(const std::string& source, int64_t hlc, const std::string& id) {
    return Add(ChangeKind::kDelete, source, hlc, {0}, {id});
  }

 private:
  void AppendKeyPart(const std::string& part) {
    const uint32_t length = static_cast<uint32_t>(part.size());
    set_->text.append(reinterpret_cast<const char*>(&length), sizeof(length));
    set_->text += part;
  }
  static const std::string* Intern(const std::string& source) {
    static std::vector<std::unique_ptr<std::string>> names;
    for (const auto& name : names) {
      if (*name == source) return name.get();
    }
    names.push_back(std::make_unique<std::string>(source));
    return names.back().get();
  }

  ChangeSet* set_;
  TargetTable* table_;
};

}  // namespace pmoves

#endif  // PMOVES_TESTS_TESTING_TARGET_TABLES_H_
