// The ways rows reach the centre: COPY, straight into the table or into a stage, and prepared
// statements in a pipeline. See pg_target.h.
#include <algorithm>
#include <vector>

#include "absl/strings/str_format.h"
#include "common/base/check.h"
#include "common/base/status.h"
#include "subscriber/core/copy_format.h"
#include "subscriber/io/pg_target.h"

namespace pmoves {
namespace {

// Pipelines are cut after so many rows, so that neither side's socket buffer can fill while the
// other waits.
constexpr size_t kPipelineRows = 256;
constexpr size_t kCopyChunkBytes = 64 * 1024;
// A binary COPY is written as a whole before it begins, so its size is limited. By default a batch
// is smaller unless its values are large, and then their bytes are what they cost.
constexpr size_t kMostBinaryBytes = size_t{16} << 20;
constexpr size_t kMostKeptBytes = size_t{8} << 20;
// A table whose inserts keep meeting rows pays for a failed COPY once in so many groups.
constexpr int kMostDirectSkips = 256;

}  // namespace

PgTarget::StatementKind PgTarget::RowKind(const EffectGroup& group) {
  switch (group.kind) {
    case ChangeKind::kDelete:
      return StatementKind::kDelete;
    case ChangeKind::kPartial:
      return StatementKind::kPartial;
    default:
      return StatementKind::kUpsert;
  }
}

absl::StatusOr<bool> PgTarget::CopyDirectly(const ChangeSet& set, const EffectGroup& group) {
  DirectCopy& direct = direct_[group.table];
  if (direct.skip > 0) {
    --direct.skip;
    return false;
  }
  const CopyRows rows(set, group);
  const absl::StatusOr<PgRows> columns =
      connection_.Execute("SAVEPOINT direct; " + SelectNoRows(*group.table, *group.shape));
  absl::Status status = columns.status();
  // An ALTER since the catalog was read changes what bytes mean, not what text means.
  if (status.ok()) {
    status = CopyEffects(rows, CopyIntoTable(*group.table, *group.shape),
                         columns->Types() == rows.Types());
  }
  if (status.ok()) {
    direct.next_skip = 1;
    RETURN_IF_ERROR(connection_.Execute("RELEASE SAVEPOINT direct").status());
    return true;
  }
  if (!connection_.IsOpen()) return status;
  direct.skip = direct.next_skip;
  direct.next_skip = std::min(2 * direct.next_skip, kMostDirectSkips);
  RETURN_IF_ERROR(
      connection_.Execute("ROLLBACK TO SAVEPOINT direct; RELEASE SAVEPOINT direct").status());
  return false;
}

absl::Status PgTarget::CopyEffects(CopyRows rows, const std::string& copy_statement, bool binary) {
  copy_buffer_.clear();
  binary = binary && rows.WriteBinary(kMostBinaryBytes, &copy_buffer_);
  PgResultPtr result(
      PQexec(connection_.raw(), (copy_statement + (binary ? " (FORMAT binary)" : "")).c_str()));
  if (PQresultStatus(result.get()) == PGRES_COPY_IN) {
    const bool sent = binary ? SendBuffer() : SendText(&rows);
    if (PQputCopyEnd(connection_.raw(), nullptr) != 1 || !sent) return connection_.ErrorOf(nullptr);
    result.reset(PQgetResult(connection_.raw()));
    while (PgResultPtr rest{PQgetResult(connection_.raw())}) {
    }
  }
  copy_buffer_.clear();
  if (copy_buffer_.capacity() > kMostKeptBytes) copy_buffer_.shrink_to_fit();
  return PQresultStatus(result.get()) == PGRES_COMMAND_OK ? absl::OkStatus()
                                                          : connection_.ErrorOf(result.get());
}

bool PgTarget::SendBuffer() {
  const std::string_view all = copy_buffer_;
  for (size_t begin = 0; begin < all.size(); begin += kCopyChunkBytes) {
    const std::string_view chunk = all.substr(begin, kCopyChunkBytes);
    if (PQputCopyData(connection_.raw(), chunk.data(), static_cast<int>(chunk.size())) != 1)
      return false;
  }
  copy_buffer_.clear();
  return true;
}

bool PgTarget::SendText(CopyRows* rows) {
  for (const Effect& effect : rows->effects()) {
    rows->AppendText(effect, &copy_buffer_);
    if (copy_buffer_.size() >= kCopyChunkBytes && !SendBuffer()) return false;
  }
  return SendBuffer();
}

absl::Status PgTarget::PrepareRows(const std::vector<const EffectGroup*>& groups) {
  for (const EffectGroup* group : groups) {
    at_ = group->table;
    RETURN_IF_ERROR(Prepare(RowKind(*group), *group->table, group->shape).status());
    if (LogsConflicts(*group))
      RETURN_IF_ERROR(Prepare(LogKind(*group, false), *group->table, group->shape).status());
  }
  return absl::OkStatus();
}

absl::Status PgTarget::RunRows(const ChangeSet& set,
                               const std::vector<const EffectGroup*>& groups) {
  // Prepared before the pipeline starts: preparing waits for its answer.
  RETURN_IF_ERROR(PrepareRows(groups));
  std::vector<const Effect*> untouched;
  for (const EffectGroup* group : groups) {
    for (const Effect& effect : group->effects) {
      if (sent_.empty()) PMOVES_CHECK(PQenterPipelineMode(connection_.raw()) == 1);
      RETURN_IF_ERROR(SendEffect(set, *group, effect));
      if (sent_.size() >= kPipelineRows) RETURN_IF_ERROR(ReadPipeline(&untouched));
    }
  }
  if (!sent_.empty()) RETURN_IF_ERROR(ReadPipeline(&untouched));
  for (const Effect* effect : untouched) {
    if (effect->kind == ChangeKind::kPartial) {
      RETURN_IF_ERROR(RequireHidden(set, *effect));
    } else {
      ++hidden_;
    }
  }
  return absl::OkStatus();
}

absl::Status PgTarget::SendEffect(const ChangeSet& set, const EffectGroup& group,
                                  const Effect& effect) {
  if (LogsConflicts(group)) RETURN_IF_ERROR(SendRow(set, effect, LogKind(group, false)));
  return SendRow(set, effect, RowKind(group));
}

absl::Status PgTarget::SendRow(const ChangeSet& set, const Effect& effect, StatementKind kind) {
  binder_.Clear();
  binder_.AddRow(set, *effect.shape, effect.first_value);
  binder_.AddVersion(*effect.change);
  const bool log = kind == StatementKind::kLogInsert || kind == StatementKind::kLogUpdate ||
                   kind == StatementKind::kLogDelete;
  return SendPrepared(prepared_.at({effect.change->table, kind, effect.shape->id}), {&effect, log});
}

absl::Status PgTarget::SendPrepared(const std::string& name, Sent sent) {
  if (PQsendQueryPrepared(connection_.raw(), name.c_str(), binder_.size(), binder_.Pointers(),
                          nullptr, nullptr, 0) != 1) {
    return connection_.ErrorOf(nullptr);
  }
  sent_.push_back(sent);
  return absl::OkStatus();
}

absl::Status PgTarget::SendCommand(const std::string& sql) {
  if (PQsendQueryParams(connection_.raw(), sql.c_str(), 0, nullptr, nullptr, nullptr, nullptr, 0) !=
      1) {
    return connection_.ErrorOf(nullptr);
  }
  sent_.emplace_back();
  return absl::OkStatus();
}

absl::Status PgTarget::ReadPipeline(std::vector<const Effect*>* untouched) {
  const std::vector<Sent> sent = std::exchange(sent_, {});
  if (PQpipelineSync(connection_.raw()) != 1) return connection_.ErrorOf(nullptr);
  absl::Status first_error;
  for (const auto& [effect, log] : sent) {
    PgResultPtr result(PQgetResult(connection_.raw()));
    const ExecStatusType status = PQresultStatus(result.get());
    const bool done = status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK;
    if (!done && first_error.ok()) {
      first_error = connection_.ErrorOf(result.get());
      at_ = effect == nullptr ? nullptr : effect->change->table;
      if (!connection_.IsOpen()) return first_error;
    }
    if (done && effect != nullptr) {
      const PgRows rows(std::move(result));
      if (log) {
        CountConflicts(*effect->change->table, rows);
      } else if (rows.affected() == 0) {
        untouched->push_back(effect);
      }
    }
    while (PgResultPtr rest{PQgetResult(connection_.raw())}) {
    }
  }
  PgResultPtr sync(PQgetResult(connection_.raw()));
  if (PQresultStatus(sync.get()) != PGRES_PIPELINE_SYNC && first_error.ok())
    first_error = connection_.ErrorOf(sync.get());
  if (PQexitPipelineMode(connection_.raw()) != 1 && first_error.ok())
    first_error = connection_.ErrorOf(nullptr);
  return first_error;
}

}  // namespace pmoves
