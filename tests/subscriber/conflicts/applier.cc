#include "tests/subscriber/conflicts/applier.h"

#include <algorithm>
#include <span>
#include <string>
#include <utility>

#include "absl/strings/str_format.h"
#include "common/base/reaction.h"
#include "common/base/status.h"
#include "subscriber/core/bisect.h"

namespace pmoves::conflicts {
namespace {

constexpr int kAttemptsMax = 20;

std::string KeyToken(const RuleCase& rule, int64_t key, bool respelled) {
  if (rule.citext) return absl::StrFormat("\"%s%d\"", respelled ? "\u00c4" : "\u00e4", key);
  return absl::StrFormat("%d%s", key, respelled ? ".0" : "");
}

std::string Token(const ColumnInfo& column, const Text& value) {
  if (!value.has_value()) return "null";
  return column.quoted ? proto::JsonString(*value) : *value;
}

proto::Operation OperationOf(Kind kind) {
  switch (kind) {
    case Kind::kInsert:
      return proto::Operation::kInsert;
    case Kind::kUpdate:
      return proto::Operation::kUpdate;
    case Kind::kDelete:
      return proto::Operation::kDelete;
    case Kind::kTruncate:
      break;
  }
  return proto::Operation::kTruncate;
}

// The body that a publisher makes of one change. One source has its columns in another order.
std::string BodyOf(const RuleCase& rule, const Op& op, const std::string& source, int64_t first_key,
                   proto::BodyWriter* writer) {
  const bool reversed = source == "b";
  static const std::string kIdToken = proto::JsonString("id");
  std::vector<std::string> names, values, unchanged;
  for (size_t i = 0; i < kColumns; ++i) {
    const size_t column = reversed ? kColumns - 1 - i : i;
    const ColumnInfo& info = Columns()[column];
    if (op.Omits(static_cast<int>(column))) {
      unchanged.emplace_back(info.name);
      continue;
    }
    names.push_back(proto::JsonString(info.name));
    values.push_back(Token(info, op.image[column]));
  }
  const std::string new_key = KeyToken(rule, first_key + op.key, op.respelled);
  std::vector<proto::RawColumn> row = {{kIdToken, new_key}};
  for (size_t i = 0; i < names.size(); ++i) row.push_back({names[i], values[i]});
  if (reversed) std::reverse(row.begin(), row.end());
  std::string old_key = new_key;
  if (op.old_key.has_value()) old_key = KeyToken(rule, first_key + *op.old_key, op.old_respelled);
  const std::vector<proto::RawColumn> key = {{kIdToken, old_key}};

  const proto::Operation operation = OperationOf(op.kind);
  writer->Start(source, "public", rule.name, operation);
  const bool has_key = op.kind == Kind::kDelete || op.old_key.has_value();
  if (op.kind == Kind::kDelete) row.clear();
  if (op.kind != Kind::kTruncate) {
    writer->AddRow(row, has_key ? std::span<const proto::RawColumn>(key)
                                : std::span<const proto::RawColumn>());
  }
  return writer->Finish(op.commit_us, unchanged, {});
}

}  // namespace

absl::StatusOr<std::unique_ptr<Applier>> Applier::Connect(const SubscriberConfig& config) {
  std::unique_ptr<Applier> applier(new Applier(config));
  RETURN_IF_ERROR(applier->Connect());
  applier->positions_.assign(Sources().size(), Lsn{});
  return applier;
}

absl::Status Applier::Connect() {
  target_.reset();
  catalog_.reset();
  ASSIGN_OR_RETURN(connection_,
                   PgConnection::Connect(TargetSessionOptions(config_, "conflicts test")));
  RETURN_IF_ERROR(connection_->Execute("SET session_replication_role = replica").status());
  catalog_ = std::make_unique<TargetCatalog>(*connection_, config_.tables);
  target_ = std::make_unique<PgTarget>(*connection_);
  decoder_ = RowDecoder();
  return absl::OkStatus();
}

absl::Status Applier::ReadPositions() {
  // The rule before may have ended in an error.
  if (connection_->transaction_status() != PQTRANS_IDLE) RETURN_IF_ERROR(Connect());
  for (size_t source = 0; source < Sources().size(); ++source) {
    ASSIGN_OR_RETURN(
        const PgRows rows,
        connection_->Execute("SELECT position FROM pmoves_sync.source_position WHERE source = $1",
                             {PgParam(Sources()[source])}));
    ASSIGN_OR_RETURN(positions_[source], Lsn::Parse(rows.Text(0, 0)));
  }
  return absl::OkStatus();
}

absl::Status Applier::Offer(const RuleCase& rule, const std::vector<Delivery>& batch, size_t cut,
                            Fault fault) {
  for (int attempt = 0;; ++attempt) {
    const absl::Status status = ApplyAndCommit(rule, batch, cut, fault);
    if (status.ok() || attempt == kAttemptsMax) return status;
    if (ReactionTo(status).reaction != Reaction::kRetry) return status;
    target_->Rollback();  // a deadlock with another worker: again
  }
}

absl::Status Applier::ApplyAndCommit(const RuleCase& rule, const std::vector<Delivery>& batch,
                                     size_t cut, Fault fault) {
  if (fault == Fault::kForgotten) RETURN_IF_ERROR(ReadPositions());
  const std::vector<Lsn> before = positions_;
  std::vector<SourceProgress> progress;
  RETURN_IF_ERROR(Fill(rule, batch, before, &progress));
  if (progress.empty()) return absl::OkStatus();
  if (fault == Fault::kRollback || fault == Fault::kReconnect) {
    RETURN_IF_ERROR(ApplySet(progress, false, 0));
    target_->Rollback();
    if (fault == Fault::kReconnect) RETURN_IF_ERROR(Connect());
    progress.clear();
    RETURN_IF_ERROR(Fill(rule, batch, before, &progress));
  }
  bool done = false;
  if (fault != Fault::kPieces && ++offers_ % 4 != 0) {
    ASSIGN_OR_RETURN(done, target_->ApplyAtOnce(&set_, progress));
    if (done) ++at_once_;
  }
  if (!done) {
    RETURN_IF_ERROR(ApplySet(progress, fault == Fault::kPieces, cut));
    RETURN_IF_ERROR(target_->Commit());
  }
  for (const SourceProgress& moved : progress) {
    const auto found = std::find(Sources().begin(), Sources().end(), moved.source);
    positions_[static_cast<size_t>(found - Sources().begin())] = moved.position;
  }
  return fault == Fault::kZombie ? ExpectFenced(rule, batch, before) : absl::OkStatus();
}

absl::Status Applier::Fill(const RuleCase& rule, const std::vector<Delivery>& batch,
                           const std::vector<Lsn>& after, std::vector<SourceProgress>* progress) {
  set_.Clear();
  ASSIGN_OR_RETURN(TargetTable* const table, catalog_->Find("public", rule.name));
  std::vector<Lsn> reached = after;
  for (const Delivery& delivery : batch) {
    const auto source = static_cast<size_t>(delivery.source);
    if (delivery.position <= reached[source]) continue;
    RETURN_IF_ERROR(AddTransaction(rule, delivery, table));
    reached[source] = delivery.position;
  }
  for (size_t source = 0; source < reached.size(); ++source) {
    if (reached[source] == after[source]) continue;
    SourceProgress& moved = progress->emplace_back();
    moved.source = Sources()[source];
    moved.old_epoch = moved.epoch = 1;
    moved.old_position = after[source];
    moved.position = reached[source];
  }
  return absl::OkStatus();
}

absl::Status Applier::AddTransaction(const RuleCase& rule, const Delivery& delivery,
                                     TargetTable* table) {
  const std::string& source = Sources()[static_cast<size_t>(delivery.source)];
  proto::Body body;
  for (const Op& op : *delivery.transaction) {
    auto message = std::make_unique<ReceivedMessage>();
    message->envelope.source = source;
    message->envelope.epoch = 1;
    message->envelope.position = delivery.position;
    message->envelope.hlc = Hlc{op.hlc};
    message->body = BodyOf(rule, op, source, delivery.first_key, &writer_);
    RETURN_IF_ERROR(reader_.Read(&message->body, &body));
    RETURN_IF_ERROR(decoder_.Append(body, *message, &source, table, Lsn{}, &set_));
    set_.messages.push_back(std::move(message));
  }
  return absl::OkStatus();
}

absl::Status Applier::ApplySet(const std::vector<SourceProgress>& progress, bool pieces,
                               size_t cut) {
  RETURN_IF_ERROR(target_->Begin());
  const size_t end = set_.changes.size();
  absl::Status status;
  if (pieces) {
    const size_t middle = cut % (end + 1);
    RETURN_IF_ERROR(ApplySeparating(0, middle));
    RETURN_IF_ERROR(ApplySeparating(middle, end));
  } else {
    status = target_->Apply(&set_, 0, end);
  }
  if (!status.ok() && ReactionTo(status).reaction == Reaction::kSplit) {
    target_->Rollback();
    RETURN_IF_ERROR(target_->Begin());
    status = ApplySeparating(0, end);
  }
  RETURN_IF_ERROR(status);
  return target_->Advance(progress);
}

absl::Status Applier::ApplySeparating(size_t begin, size_t end) {
  BisectCallbacks callbacks;
  callbacks.try_range = [this](size_t from, size_t to) {
    return target_->ApplyInSavepoint(&set_, from, to);
  };
  callbacks.splits_on = [](const absl::Status& status) {
    return ReactionTo(status).reaction == Reaction::kSplit;
  };
  callbacks.set_aside = [this](size_t index, const absl::Status& why) {
    return absl::InternalError(absl::StrFormat("change @%d of %s would be set aside: %s",
                                               set_.changes[index].hlc.value,
                                               *set_.changes[index].source, MessageOf(why)));
  };
  return Bisect(begin, end, callbacks);
}

absl::Status Applier::ExpectFenced(const RuleCase& rule, const std::vector<Delivery>& batch,
                                   const std::vector<Lsn>& before) {
  std::vector<SourceProgress> progress;
  RETURN_IF_ERROR(Fill(rule, batch, before, &progress));
  ASSIGN_OR_RETURN(const bool done, target_->ApplyAtOnce(&set_, progress));
  if (done) return absl::InternalError("a zombie was not fenced");
  const absl::Status status = ApplySet(progress, false, 0);
  target_->Rollback();
  if (status.code() == absl::StatusCode::kAborted) return absl::OkStatus();
  return absl::InternalError(
      absl::StrFormat("a zombie was not fenced: %s", std::string(status.ToString())));
}

}  // namespace pmoves::conflicts
