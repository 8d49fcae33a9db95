#include "publisher/core/message_plan.h"

#include <algorithm>
#include <iterator>
#include <list>
#include <map>
#include <utility>

#include "common/base/check.h"
#include "proto/message_codec.h"
#include "proto/subject.h"
#include "publisher/core/relation_message.h"
#include "publisher/core/row_shape.h"

namespace pmoves {
namespace {

// Open runs at most: they are found by looking at each, and each costs a message.
constexpr size_t kMaxRuns = 64;
// Closed runs kept for their buffers, which may each have grown to a whole message.
constexpr size_t kMaxSpareRuns = 4;

proto::Operation OperationOf(WalAction action) {
  switch (action) {
    case WalAction::kInsert:
      return proto::Operation::kInsert;
    case WalAction::kUpdate:
      return proto::Operation::kUpdate;
    case WalAction::kDelete:
      return proto::Operation::kDelete;
    case WalAction::kTruncate:
      return proto::Operation::kTruncate;
    case WalAction::kSnapshot:
      return proto::Operation::kSnapshot;
    default:
      break;
  }
  PMOVES_CHECK(false && "begin, commit and messages are no row changes");
  return proto::Operation::kInsert;
}

// A message that is being filled.
struct Run {
  std::string schema;
  std::string table;
  proto::Operation operation = proto::Operation::kInsert;
  bool with_keys = false;
  RowShape shape;
  proto::BodyWriter writer;

  size_t bytes() const { return writer.bytes() + shape.unchanged_bytes(); }
  bool is_truncate() const { return operation == proto::Operation::kTruncate; }
  // Row changes, each of which is one tick of the hlc.
  uint32_t changes() const { return is_truncate() ? 1 : static_cast<uint32_t>(writer.rows()); }
  bool IsOf(std::string_view a_schema, std::string_view a_table) const {
    return table == a_table && schema == a_schema;
  }
  // Rows of both may stand in one message.
  bool SharesWith(const Run& other) const {
    return operation == other.operation && with_keys == other.with_keys &&
           IsOf(other.schema, other.table) && shape.SameColumns(other.shape);
  }
};

// A list, because a run moves from spare to open to held and back with its buffers, and is left in
// the middle.
using RunList = std::list<Run>;

}  // namespace

struct MessagePlan::State {
  Options options;
  std::deque<OutgoingMessage>* ready = nullptr;
  Lsn previous;  // position of the last transaction that was emitted or is held
  Hlc hlc;       // version of the last row change that was emitted or is held

  bool in_transaction = false;
  proto::TransactionEntry transaction;  // position, xid and commit time of the open one
  uint32_t chunks = 0;                  // messages emitted of it
  RunList runs;                         // open, oldest first
  size_t runs_bytes = 0;                // sum of their bytes()

  RunList group;  // none, or one run with all rows of
  std::vector<proto::TransactionEntry> group_transactions;
  Lsn group_previous;  // what the first of these follows

  std::map<std::pair<std::string, std::string>, uint64_t, std::less<>> told;  // version by table
  uint64_t last_told = 0;  // of the change before: most are of the same table

  RunList spare;
  RowShape shape;  // of the last row that did not have the shape of its run

  void AddChange(const WalChange& change, const Relation& relation);
  void FinishTransaction();
  void FlushGroup();
  void EmitProgress(Lsn position, int64_t now_us, int64_t caught_up_ms);

 private:
  void Describe(const WalChange& change, const Relation& relation);
  RunList::iterator FindRun(const WalChange& change);
  bool Takes(Run* run, const WalChange& change, const Relation& relation, PlannedRow* row);
  RunList::iterator OpenRun(const WalChange& change, const Relation& relation, PlannedRow* row);
  void EmitRun(RunList::iterator run, bool last);
  void Send(OutgoingMessage message);
  void EmitInParts(OutgoingMessage whole);
  void HoldOrJoin();
  bool MayJoinGroup(const Run& run) const;
  Hlc TakeVersions(uint32_t changes);
  OutgoingMessage MessageOf(const Run& run) const;
  void Retire(RunList* from, RunList::iterator run, bool keep_buffers);
};

void MessagePlan::State::AddChange(const WalChange& change, const Relation& relation) {
  if (relation.version != last_told) Describe(change, relation);
  const bool truncate = change.action == WalAction::kTruncate;
  if (truncate || (!runs.empty() && runs.front().is_truncate())) {
    while (!runs.empty()) EmitRun(runs.begin(), false);
  }
  auto run = FindRun(change);
  PlannedRow row;
  const bool takes = Takes(run == runs.end() ? nullptr : &*run, change, relation, &row);
  // The change is still to come, so nothing that is emitted here is the last of its transaction.
  if (run != runs.end() && !takes) {
    EmitRun(run, false);
    run = runs.end();
  }
  while (!runs.empty() && (runs_bytes + row.bytes > options.max_open_bytes ||
                           (run == runs.end() && runs.size() >= kMaxRuns))) {
    if (run == runs.begin()) run = runs.end();
    EmitRun(runs.begin(), false);
  }
  if (run == runs.end()) run = OpenRun(change, relation, &row);
  if (truncate) return;
  runs_bytes -= run->bytes();
  run->writer.AddRow(row.data, row.key);
  runs_bytes += run->bytes();
}

// Sends the definition of the change's table, if it is not the one that was sent last. What is open
// of the table came before.
void MessagePlan::State::Describe(const WalChange& change, const Relation& relation) {
  last_told = relation.version;
  if (relation.version == 0 || relation.columns.empty()) return;
  uint64_t& version = told[{change.schema, change.table}];
  if (version == relation.version) return;
  version = relation.version;
  while (!runs.empty()) EmitRun(runs.begin(), false);
  FlushGroup();
  Run run;
  run.operation = proto::Operation::kRelation;
  OutgoingMessage message = MessageOf(run);
  message.envelope.position = transaction.position;
  message.envelope.previous = previous;
  message.envelope.chunk = chunks;
  message.envelope.hlc = hlc.Next(transaction.commit_us);  // not taken: that of the row behind it
  message.envelope.xid = transaction.xid;
  message.commit_us = transaction.commit_us;
  message.body = proto::EncodeRelation(options.source, change.schema, change.table,
                                       transaction.commit_us, DefinitionOf(relation));
  Send(std::move(message));
}

RunList::iterator MessagePlan::State::FindRun(const WalChange& change) {
  // Newest first: most changes are of the same table as the one before.
  for (auto run = runs.end(); run != runs.begin();) {
    --run;
    if (run->IsOf(change.schema, change.table)) return run;
  }
  return runs.end();
}

// Whether the run (none: null) takes the change. Sets *row in either case; its views end when the
// run does.
bool MessagePlan::State::Takes(Run* run, const WalChange& change, const Relation& relation,
                               PlannedRow* row) {
  bool same_columns = run != nullptr && run->shape.Fits(change, relation);
  if (same_columns) {
    *row = run->shape.Plan(change);
  } else {
    if (!shape.Fits(change, relation)) shape.Learn(change, relation);
    *row = shape.Plan(change);
    same_columns = run != nullptr && run->shape.SameColumns(shape);
  }
  return same_columns && run->with_keys == !row->key.empty() &&
         run->bytes() + row->bytes <= options.max_message_bytes;
}

// Plans the change again, with the shape that the new run keeps.
RunList::iterator MessagePlan::State::OpenRun(const WalChange& change, const Relation& relation,
                                              PlannedRow* row) {
  if (spare.empty()) spare.emplace_back();
  runs.splice(runs.end(), spare, spare.begin());
  Run& run = runs.back();
  if (!shape.Fits(change, relation)) shape.Learn(change, relation);
  // What the run had may soon fit again: transactions of one row bring the same shape each time.
  std::swap(run.shape, shape);
  *row = run.shape.Plan(change);
  run.schema = change.schema;
  run.table = change.table;
  run.operation = OperationOf(change.action);
  run.with_keys = !row->key.empty();
  run.writer.Start(options.source, run.schema, run.table, run.operation);
  runs_bytes += run.bytes();
  const bool may_join =
      chunks == 0 && runs.size() == 1 && !group.empty() && run.SharesWith(group.front());
  if (!may_join) FlushGroup();
  return std::prev(runs.end());
}

void MessagePlan::State::FinishTransaction() {
  PMOVES_CHECK(in_transaction);
  in_transaction = false;
  // A transaction without rows leaves no trace: the stream need not know its position.
  if (runs.empty()) return;
  const Run& first = runs.front();
  if (chunks == 0 && runs.size() == 1 && !first.is_truncate() &&
      first.bytes() <= options.max_message_bytes) {
    HoldOrJoin();
  } else {
    while (!runs.empty()) EmitRun(runs.begin(), runs.size() == 1);
  }
  previous = transaction.position;
}

void MessagePlan::State::HoldOrJoin() {
  const auto run = runs.begin();
  runs_bytes -= run->bytes();
  if (!group.empty() && !MayJoinGroup(*run)) FlushGroup();
  proto::TransactionEntry entry = transaction;
  entry.rows = run->changes();
  entry.hlc = TakeVersions(entry.rows);
  if (group.empty()) {
    group_previous = previous;
    group.splice(group.end(), runs, run);
  } else {
    group.front().writer.AppendRows(run->writer);
    Retire(&runs, run, true);
  }
  group_transactions.push_back(entry);
}

bool MessagePlan::State::MayJoinGroup(const Run& run) const {
  const size_t transactions = group_transactions.size() + 1;
  return transactions <= options.max_group_transactions && run.SharesWith(group.front()) &&
         group.front().bytes() + run.writer.bytes() +
                 transactions * proto::BodyWriter::kTransactionBytesMax <=
             options.max_message_bytes;
}

void MessagePlan::State::FlushGroup() {
  if (group.empty()) return;
  Run& run = group.front();
  const proto::TransactionEntry& last = group_transactions.back();
  OutgoingMessage message = MessageOf(run);
  message.envelope.position = last.position;
  message.envelope.previous = group_previous;
  message.envelope.last = true;
  message.envelope.hlc = group_transactions.front().hlc;
  message.envelope.xid = last.xid;
  message.commit_us = last.commit_us;
  message.body = run.writer.Finish(last.commit_us, run.shape.unchanged(), group_transactions);
  ready->push_back(std::move(message));
  group_transactions.clear();
  Retire(&group, group.begin(), true);
}

void MessagePlan::State::EmitRun(RunList::iterator run, bool last) {
  FlushGroup();
  OutgoingMessage message = MessageOf(*run);
  message.envelope.position = transaction.position;
  message.envelope.previous = previous;
  message.envelope.chunk = chunks;
  message.envelope.last = last;
  message.envelope.hlc = TakeVersions(message.changes);
  message.envelope.xid = transaction.xid;
  message.commit_us = transaction.commit_us;
  const size_t bytes = run->bytes();
  runs_bytes -= bytes;
  message.body = run->writer.Finish(transaction.commit_us, run->shape.unchanged(), {});
  Retire(&runs, run, bytes <= options.max_message_bytes);
  Send(std::move(message));
}

// As the next chunk of the open transaction. A body that is too large is that of a single row (a
// second one would not have been let in) or of a RELATION.
void MessagePlan::State::Send(OutgoingMessage message) {
  if (message.body.size() > options.max_message_bytes) return EmitInParts(std::move(message));
  ++chunks;
  ready->push_back(std::move(message));
}

void MessagePlan::State::EmitInParts(OutgoingMessage whole) {
  const size_t size = options.max_message_bytes;
  const size_t parts = (whole.body.size() + size - 1) / size;
  for (size_t part = 0; part < parts; ++part) {
    const bool final_part = part + 1 == parts;
    OutgoingMessage message;
    message.subject = whole.subject;
    message.envelope = whole.envelope;
    message.envelope.chunk = chunks++;
    message.envelope.part = static_cast<uint32_t>(part);
    message.envelope.parts = static_cast<uint32_t>(parts);
    message.envelope.last = whole.envelope.last && final_part;
    message.body = whole.body.substr(part * size, size);
    message.changes = final_part ? whole.changes : 0;
    message.commit_us = whole.commit_us;
    ready->push_back(std::move(message));
  }
}

void MessagePlan::State::EmitProgress(Lsn position, int64_t now_us, int64_t caught_up_ms) {
  PMOVES_CHECK(!in_transaction);
  FlushGroup();
  PMOVES_CHECK(position > previous);
  Run run;
  run.operation = proto::Operation::kProgress;
  run.writer.Start(options.source, {}, {}, run.operation);
  OutgoingMessage message = MessageOf(run);
  message.envelope.position = position;
  message.envelope.previous = previous;
  message.envelope.last = true;
  message.envelope.hlc = hlc;
  message.envelope.caught_up_ms = std::max(caught_up_ms, int64_t{0});
  message.commit_us = now_us;
  message.body = run.writer.Finish(now_us, {}, {});
  ready->push_back(std::move(message));
  previous = position;
}

// The version of the first of so many row changes of the open transaction; the next ones follow it
// by one each.
Hlc MessagePlan::State::TakeVersions(uint32_t changes) {
  const Hlc first = hlc.Next(transaction.commit_us);
  hlc.value = first.value + changes - 1;
  return first;
}

// What all messages have. REQUIRES: the run's body is not finished yet.
OutgoingMessage MessagePlan::State::MessageOf(const Run& run) const {
  OutgoingMessage message;
  message.subject = proto::IsControl(run.operation)
                        ? proto::MakeControlSubject(run.operation, options.source)
                        : proto::MakeSubject(run.schema, run.table, run.operation, options.source);
  message.envelope.source = options.source;
  message.envelope.epoch = options.epoch;
  message.envelope.origin = options.origin;
  message.envelope.writer = options.writer;
  message.changes = run.changes();
  return message;
}

void MessagePlan::State::Retire(RunList* from, RunList::iterator run, bool keep_buffers) {
  if (keep_buffers && spare.size() < kMaxSpareRuns) {
    spare.splice(spare.begin(), *from, run);
  } else {
    from->erase(run);
  }
}

MessagePlan::MessagePlan(Options options, Lsn previous, Hlc hlc)
    : state_(std::make_unique<State>()) {
  PMOVES_CHECK(options.max_message_bytes > 0);
  state_->options = std::move(options);
  state_->ready = &ready_;
  state_->previous = previous;
  state_->hlc = hlc;
}

MessagePlan::~MessagePlan() = default;

void MessagePlan::Begin(Lsn position, uint32_t xid, int64_t commit_us) {
  PMOVES_CHECK(!state_->in_transaction);
  PMOVES_CHECK(position > state_->previous);
  state_->in_transaction = true;
  state_->transaction = {};
  state_->transaction.position = position;
  state_->transaction.xid = xid;
  state_->transaction.commit_us = commit_us;
  state_->chunks = 0;
}

void MessagePlan::Add(const WalChange& change, const Relation& relation) {
  PMOVES_CHECK(state_->in_transaction);
  state_->AddChange(change, relation);
}

void MessagePlan::Commit() { state_->FinishTransaction(); }

void MessagePlan::FlushGroup() { state_->FlushGroup(); }

void MessagePlan::AddProgress(Lsn position, int64_t now_us, int64_t caught_up_ms) {
  state_->EmitProgress(position, now_us, caught_up_ms);
}

bool MessagePlan::holds_group() const { return !state_->group.empty(); }

bool MessagePlan::in_transaction() const { return state_->in_transaction; }

size_t MessagePlan::open_bytes() const {
  return state_->runs_bytes + (state_->group.empty() ? 0 : state_->group.front().bytes());
}

Lsn MessagePlan::previous() const { return state_->previous; }

Hlc MessagePlan::hlc() const { return state_->hlc; }

}  // namespace pmoves
