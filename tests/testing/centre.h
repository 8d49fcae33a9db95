// CentreTest: a centre with one table, public.jobs (id integer primary key, status text, output
// text), on a real Postgres, and sources that write it the way of a worker: decoded, versioned,
// planned, merged, each batch one transaction that moves their positions.
#ifndef PMOVES_TESTS_TESTING_CENTRE_H_
#define PMOVES_TESTS_TESTING_CENTRE_H_

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "common/io/pg_connection.h"
#include "proto/message_codec.h"
#include "subscriber/core/row_decoder.h"
#include "subscriber/io/central_schema.h"
#include "subscriber/io/pg_catalog.h"
#include "subscriber/io/pg_target.h"
#include "tests/testing/target_test.h"

namespace pmoves {

inline const std::string kA = "jetson-01";
inline const std::string kB = "jetson-02";
inline const std::string kC = "jetson-03";

// One message of a source, one transaction.
struct Sent {
  std::string source;
  std::string operation;
  std::string rest;  // of the body
  int64_t hlc = 0;
  std::string table = "jobs";
};

inline std::string JobText(int id, const std::string& status) {
  return absl::StrFormat(R"({"id":%d,"status":"%s","output":"big of %s"})", id, status, status);
}
inline Sent SendInsert(const std::string& source, int64_t hlc, int id, const std::string& status) {
  return {source, "INSERT", absl::StrFormat(R"("data":[%s])", JobText(id, status)), hlc};
}
inline Sent SendUpdate(const std::string& source, int64_t hlc, int id, const std::string& status) {
  return {source, "UPDATE", absl::StrFormat(R"("data":[%s])", JobText(id, status)), hlc};
}
// So many rows of ids from `first`: enough of them go through a stage.
inline Sent SendRows(const std::string& operation, const std::string& source, int64_t hlc,
                     int first, int count, const std::string& status) {
  std::string rows;
  for (int id = first; id < first + count; ++id) {
    rows += (id == first ? "" : ",") + JobText(id, status);
  }
  return {source, operation, absl::StrFormat(R"("data":[%s])", rows), hlc};
}
inline Sent SendInserts(const std::string& source, int64_t hlc, int first, int count,
                        const std::string& status) {
  return SendRows("INSERT", source, hlc, first, count, status);
}
// Another key; the output did not travel.
inline Sent SendMove(const std::string& source, int64_t hlc, int from, int to) {
  return {source, "UPDATE",
          absl::StrFormat(
              R"("data":[{"id":%d,"status":"moved"}],"keys":[{"id":%d}],"unchanged":["output"])",
              to, from),
          hlc};
}
inline Sent SendPartial(const std::string& source, int64_t hlc, int id, const std::string& status) {
  return {source, "UPDATE",
          absl::StrFormat(R"("data":[{"id":%d,"status":"%s"}],"unchanged":["output"])", id, status),
          hlc};
}
inline Sent SendDelete(const std::string& source, int64_t hlc, int id) {
  return {source, "DELETE", absl::StrFormat(R"("keys":[{"id":%d}])", id), hlc};
}
inline Sent SendTruncate(const std::string& source, int64_t hlc) {
  return {source, "TRUNCATE", "", hlc};
}

class CentreTest : public TargetTest {
 protected:
  void SetUp() override {
    ASSERT_NO_FATAL_FAILURE(ConnectFor("jobs"));
    config_.tables[0].policy = FirstPolicy();
    Execute("DROP SCHEMA IF EXISTS pmoves_sync CASCADE; DROP TABLE IF EXISTS jobs");
    Execute("CREATE TABLE jobs (id integer PRIMARY KEY, status text, output text)");
    ASSERT_THAT(InitCentralSchema(*connection_, config_.tables), IsOk());
    target_ = std::make_unique<PgTarget>(*connection_);
    Configure(FirstPolicy());
  }
  // Of the table, from its first day.
  virtual TablePolicy FirstPolicy() const { return {}; }

  void Configure(const TablePolicy& policy) {
    config_.tables[0].policy = policy;
    catalog_ = std::make_unique<TargetCatalog>(*connection_, config_.tables);
    decoder_ = RowDecoder();
    target_->ForgetStatements();
  }
  // As before the first message, of all sources.
  void Empty() {
    Execute(
        "TRUNCATE jobs, pmoves_sync.tombstone, pmoves_sync.truncate_floor, "
        "pmoves_sync.source_position, pmoves_sync.collection, pmoves_sync.sync_status");
    positions_.clear();
  }

  // In one transaction.
  absl::Status Apply(const std::vector<Sent>& batch) {
    if (batch.empty()) return absl::OkStatus();
    RETURN_IF_ERROR(target_->Begin());
    absl::Status status = ApplyOpen(batch);
    if (status.ok()) return target_->Commit();
    target_->Rollback();
    return status;
  }
  // In the transaction that is open; positions are moved last.
  absl::Status ApplyOpen(const std::vector<Sent>& batch) {
    ChangeSet set;
    ASSIGN_OR_RETURN(const std::vector<SourceProgress> progress, Decode(batch, &set));
    RETURN_IF_ERROR(target_->Apply(&set, 0, set.changes.size()));
    if (between_) between_();
    RETURN_IF_ERROR(target_->Advance(progress));
    Moved(progress);
    return absl::OkStatus();
  }
  // In one round trip; false: nothing is written.
  absl::StatusOr<bool> ApplyAtOnce(const std::vector<Sent>& batch) {
    ChangeSet set;
    ASSIGN_OR_RETURN(const std::vector<SourceProgress> progress, Decode(batch, &set));
    ASSIGN_OR_RETURN(const bool done, target_->ApplyAtOnce(&set, progress));
    if (done) Moved(progress);
    return done;
  }

  // A worker owns the source, which may not have sent anything yet.
  void Claim(const std::string& source) {
    Execute("INSERT INTO pmoves_sync.source_position (source) VALUES ('" + source +
            "') ON CONFLICT DO NOTHING");
  }
  // "1:new@jetson-01 2:done@jetson-02": id, status and source, in that order.
  std::string Rows() {
    return Execute(
               "SELECT COALESCE(string_agg(format('%s:%s@%s', id, status, _source), ' ' ORDER BY "
               "id, _source), '') FROM jobs")
        .String(0, 0);
  }
  int64_t Count(const std::string& table) {
    return Execute("SELECT count(*) FROM " + table).Int(0, 0);
  }

  std::unique_ptr<TargetCatalog> catalog_;
  std::unique_ptr<PgTarget> target_;
  std::function<void()> between_;  // runs when rows are merged and positions are not yet moved

 private:
  absl::StatusOr<std::vector<SourceProgress>> Decode(const std::vector<Sent>& batch,
                                                     ChangeSet* set) {
    std::map<std::string, SourceProgress> progress;
    for (const Sent& sent : batch) {
      RETURN_IF_ERROR(Decode(sent, set));
      SourceProgress& moved = progress[sent.source];
      moved.source = sent.source;
      moved.hlc = set->changes.back().hlc;
      const uint64_t position = positions_[sent.source];
      if (position == 0) Claim(sent.source);
      moved.old_position = Lsn{position};
      moved.position = Lsn{position + 1};
    }
    std::vector<SourceProgress> all;
    for (const auto& [source, moved] : progress) all.push_back(moved);
    return all;
  }
  void Moved(const std::vector<SourceProgress>& progress) {
    for (const SourceProgress& moved : progress) positions_[moved.source] = moved.position.value;
  }
  absl::Status Decode(const Sent& sent, ChangeSet* set) {
    set->messages.push_back(std::make_unique<ReceivedMessage>());
    ReceivedMessage& message = *set->messages.back();
    message.envelope.hlc = Hlc{sent.hlc};
    message.body = absl::StrFormat(
        R"({"source":"%s","schema":"public","table":"%s","operation":"%s","timestamp":"2026-11-22T09:25:41.029291Z"%s%s})",
        sent.source, sent.table, sent.operation, sent.rest.empty() ? "" : ",", sent.rest);
    proto::Body body;
    RETURN_IF_ERROR(reader_.Read(&message.body, &body));
    ASSIGN_OR_RETURN(TargetTable* const table, catalog_->Find("public", sent.table));
    auto name = names_.try_emplace(sent.source, sent.source).first;
    return decoder_.Append(body, message, &name->second, table, Lsn{}, set);
  }

  RowDecoder decoder_;
  proto::BodyReader reader_;
  std::map<std::string, uint64_t> positions_;
  std::map<std::string, std::string> names_;
};

}  // namespace pmoves

#endif  // PMOVES_TESTS_TESTING_CENTRE_H_
