#include "tests/subscriber/conflicts/history.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_format.h"

namespace pmoves::conflicts {
namespace {

constexpr int64_t kLate = int64_t{1} << 62;  // a clock far in the future
constexpr int64_t kStampsEnd = kLate + 16;
// Columns that updates leave out together; few, because each set has statements of its own.
constexpr uint32_t kLeftOut[] = {1U << kDoc, 1U << kA | 1U << kTags,
                                 1U << kStatus | 1U << kN | 1U << kDoc};
constexpr int64_t kSomeCommitUs = 1795339541029291;

// `count` rising stamps between `low` and `high`, both excluded; fewer if there is no room. Mostly
// dense, so that the stamps of sources tie.
std::vector<int64_t> MakeStamps(Random& random, int64_t low, int64_t high, size_t count) {
  count = static_cast<size_t>(std::min<int64_t>(static_cast<int64_t>(count), high - low - 1));
  const int64_t needed = static_cast<int64_t>(count);
  int64_t next = low + 1;
  if (Chance(random, 0.3)) next = high - needed - static_cast<int64_t>(Pick(random, 4));
  if (Chance(random, 0.5)) next += static_cast<int64_t>(Pick(random, 4));
  std::vector<int64_t> stamps;
  for (size_t i = 0; i < count; ++i) {
    const int64_t last = high - (needed - static_cast<int64_t>(i));
    next = std::clamp(next, stamps.empty() ? low + 1 : stamps.back() + 1, last);
    stamps.push_back(next);
    next += Chance(random, 0.7) ? 1 : 1 + static_cast<int64_t>(Pick(random, 3));
    if (Chance(random, 0.05)) next = last - static_cast<int64_t>(Pick(random, 3));
  }
  return stamps;
}

// One source while its history is made.
class SourceScript {
 public:
  SourceScript(Random& random, const HistoryOptions& options, int keys)
      : random_(random), options_(options), keys_(keys) {
    for (Row& row : rows_) {
      row.exists = options.unseen && Chance(random, 0.2);
      row.image = RandomImage();
    }
  }

  Op Next(int64_t hlc) {
    Op op;
    op.hlc = hlc;
    op.commit_us = kSomeCommitUs + static_cast<int64_t>(Pick(random_, 1000000000));
    op.key = static_cast<int>(Pick(random_, static_cast<size_t>(keys_)));
    Row& row = rows_[static_cast<size_t>(op.key)];
    if (!row.exists) {
      row = {true, true, Chance(random_, 0.1), RandomImage()};
      op.kind = Kind::kInsert;
    } else if (Chance(random_, 0.3)) {
      op.kind = Kind::kDelete;
      row.exists = row.sent = false;
    } else {
      Update(&op);
      return op;
    }
    op.respelled = row.respelled;
    op.image = row.image;
    return op;
  }

  void Truncate() {
    for (Row& row : rows_) row.exists = row.sent = false;
  }

 private:
  struct Row {
    bool exists = false;
    bool sent = false;  // its whole image travelled
    bool respelled = false;
    Image image;
  };

  Text RandomValue(int column) {
    const auto& values = Columns()[static_cast<size_t>(column)].values;
    const char* value = values[Pick(random_, values.size())];
    return value == nullptr ? Text() : Text(value);
  }
  Image RandomImage() {
    Image image;
    for (int column = 0; column < kColumns; ++column)
      image[static_cast<size_t>(column)] = RandomValue(column);
    return image;
  }

  void Update(Op* op) {
    op->kind = Kind::kUpdate;
    Row row = rows_[static_cast<size_t>(op->key)];
    if (options_.partial && row.sent && Chance(random_, 0.4))
      op->left_out = kLeftOut[Pick(random_, std::size(kLeftOut))];
    for (int column = 0; column < kColumns; ++column) {
      if (!op->Omits(column) && Chance(random_, 0.4))
        row.image[static_cast<size_t>(column)] = RandomValue(column);
    }
    row.sent = row.sent || op->left_out == 0;
    if (Chance(random_, 0.1)) {
      Rekey(op, row);
    } else {
      op->respelled = row.respelled;
      rows_[static_cast<size_t>(op->key)] = row;
    }
    op->image = row.image;
  }

  // Another key, or the same one written differently.
  void Rekey(Op* op, Row row) {
    op->old_key = op->key;
    op->old_respelled = row.respelled;
    const int wanted = static_cast<int>(Pick(random_, static_cast<size_t>(keys_)));
    if (!rows_[static_cast<size_t>(wanted)].exists) {
      rows_[static_cast<size_t>(op->key)].exists = false;
      rows_[static_cast<size_t>(op->key)].sent = false;
      op->key = wanted;
    } else {
      row.respelled = !row.respelled;
    }
    op->respelled = row.respelled;
    rows_[static_cast<size_t>(op->key)] = row;
  }

  Random& random_;
  const HistoryOptions& options_;
  const int keys_;
  std::array<Row, kKeys> rows_;
};

std::vector<Transaction> MakeSource(Random& random, const HistoryOptions& options, int source,
                                    size_t changes, int keys) {
  std::vector<int64_t> truncates;
  for (const PlannedTruncate& truncate : options.truncates) {
    if (truncate.source == source) truncates.push_back(truncate.hlc);
  }
  SourceScript script(random, options, keys);
  std::vector<Transaction> transactions;
  int64_t low = -1;
  for (size_t segment = 0; segment <= truncates.size(); ++segment) {
    const bool last = segment == truncates.size();
    const size_t wanted = last ? changes : Pick(random, changes + 1);
    const int64_t high = last ? kStampsEnd : truncates[segment];
    size_t room = 0;  // in the open transaction
    for (int64_t hlc : MakeStamps(random, low, high, wanted)) {
      if (room == 0) {
        transactions.emplace_back();
        room = 1 + Pick(random, 3);
      }
      transactions.back().push_back(script.Next(hlc));
      --room;
    }
    changes -= wanted;
    if (last) break;
    Op truncate;
    truncate.kind = Kind::kTruncate;
    truncate.hlc = high;
    truncate.commit_us = kSomeCommitUs;
    transactions.push_back({truncate});
    script.Truncate();
    low = high;
  }
  return transactions;
}

// Walks through the orders of arrival. A truncate may only come when it is next in the plan.
class Orders {
 public:
  Orders(const History& history, const TruncatePlan& plan) : history_(history), plan_(plan) {
    taken_.resize(history.sources.size());
    for (const auto& transactions : history.transactions) total_ += transactions.size();
  }

  size_t Count(size_t limit) {
    if (order_.size() == total_) return 1;
    size_t count = 0;
    for (int source : Eligible()) {
      Take(source);
      count += Count(limit - count);
      Undo(source);
      if (count >= limit) return limit;
    }
    return count;
  }

  void All(std::vector<Interleaving>* out) {
    if (order_.size() == total_) return out->push_back(order_);
    for (int source : Eligible()) {
      Take(source);
      All(out);
      Undo(source);
    }
  }

  // Sources come mixed, or in long runs as after a time offline.
  Interleaving Sample(Random& random) {
    const bool runs = Chance(random, 0.4);
    while (order_.size() < total_) {
      const std::vector<int> eligible = Eligible();
      const bool stay = runs && !order_.empty() && Chance(random, 0.8) &&
                        std::count(eligible.begin(), eligible.end(), order_.back()) > 0;
      Take(stay ? order_.back() : eligible[Pick(random, eligible.size())]);
    }
    return order_;
  }

 private:
  const Transaction& NextOf(size_t source) const {
    return history_.transactions[source][taken_[source]];
  }
  static bool IsTruncate(const Transaction& transaction) {
    return transaction.front().kind == Kind::kTruncate;
  }
  std::vector<int> Eligible() const {
    std::vector<int> eligible;
    for (size_t source = 0; source < taken_.size(); ++source) {
      if (taken_[source] == history_.transactions[source].size()) continue;
      if (IsTruncate(NextOf(source)) && plan_[truncates_].source != static_cast<int>(source))
        continue;
      eligible.push_back(static_cast<int>(source));
    }
    return eligible;
  }
  void Take(int source) {
    const auto index = static_cast<size_t>(source);
    if (IsTruncate(NextOf(index))) ++truncates_;
    ++taken_[index];
    order_.push_back(source);
  }
  void Undo(int source) {
    const auto index = static_cast<size_t>(source);
    --taken_[index];
    if (IsTruncate(NextOf(index))) --truncates_;
    order_.pop_back();
  }

  const History& history_;
  const TruncatePlan& plan_;
  std::vector<size_t> taken_;
  size_t truncates_ = 0;
  size_t total_ = 0;
  Interleaving order_;
};

}  // namespace

size_t Pick(Random& random, size_t end) { return random() % end; }

bool Chance(Random& random, double probability) {
  return static_cast<double>(random() >> 11) * 0x1p-53 < probability;
}

const std::array<ColumnInfo, kColumns>& Columns() {
  static const std::array<ColumnInfo, kColumns> columns = {{
      {"a", "text", true, {"x", "y", nullptr}},
      {"b", "text", true, {"p", "q", nullptr}},
      {"status", "text", true, {"queued", "running", "done", "failed", nullptr}},
      {"worker", "text", true, {"w1", "w2", nullptr}},
      {"run", "integer", false, {"1", "2", "10", nullptr}},
      {"n", "integer", false, {"1", "5", "10", "-3", nullptr}},
      {"m", "integer", false, {"0", "2", "7", nullptr}},
      {"tags", "text[]", true, {"{}", "{x}", "{x,y}", "{y,z}", "{z,x,z}", nullptr}},
      {"doc",
       "jsonb",
       true,
       {"{}", R"({"a": 1})", R"({"a": 2})", R"({"a": 1, "b": "u"})", R"({"b": "v"})",
        R"({"a": null, "c": [1]})", nullptr}},
      {"deleted_at", "timestamptz", true, {nullptr}},
  }};
  return columns;
}

TruncatePlan MakeTruncatePlan(Random& random, size_t sources) {
  TruncatePlan plan;
  const size_t count = 1 + Pick(random, 2);
  for (size_t i = 0; i < count; ++i) {
    const int64_t near = static_cast<int64_t>(Pick(random, 10));
    plan.push_back(
        {static_cast<int>(Pick(random, sources)), Chance(random, 0.2) ? kLate + near : 1 + near});
  }
  // Those of one source rise.
  if (count == 2 && plan[0].source == plan[1].source && plan[0].hlc >= plan[1].hlc)
    plan[1].hlc = plan[0].hlc + 1 + static_cast<int64_t>(Pick(random, 5));
  return plan;
}

History MakeHistory(Random& random, const HistoryOptions& options) {
  History history;
  history.sources = options.sources;
  const int keys = 1 + static_cast<int>(Pick(random, kKeys));
  const size_t total = options.sources.size();
  const size_t most = 1 + Pick(random, static_cast<size_t>(options.changes));
  // Who takes part: mostly several, any of them.
  size_t taking_part = std::min(total, 1 + Pick(random, total) + Pick(random, 2));
  for (size_t source = 0; source < total; ++source) {
    const bool part = Pick(random, total - source) < taking_part;
    if (part) --taking_part;
    const size_t changes = part ? 1 + Pick(random, most) : 0;
    history.transactions.push_back(
        MakeSource(random, options, static_cast<int>(source), changes, keys));
  }
  return history;
}

size_t CountInterleavings(const History& history, const TruncatePlan& plan, size_t limit) {
  return Orders(history, plan).Count(limit);
}

std::vector<Interleaving> MakeInterleavings(Random& random, const History& history,
                                            const TruncatePlan& plan, size_t wanted) {
  std::vector<Interleaving> all;
  if (CountInterleavings(history, plan, wanted + 1) <= wanted) {
    Orders(history, plan).All(&all);
    return all;
  }
  std::set<Interleaving> different;
  for (size_t tries = 0; different.size() < wanted && tries < 20 * wanted; ++tries)
    different.insert(Orders(history, plan).Sample(random));
  all.assign(different.begin(), different.end());
  return all;
}

bool IsPlausible(const History& history, bool unseen) {
  for (const auto& transactions : history.transactions) {
    enum class State { kUnknown, kSent, kGone };
    std::array<State, kKeys> states;
    states.fill(unseen ? State::kUnknown : State::kGone);
    for (const Transaction& transaction : transactions) {
      for (const Op& op : transaction) {
        if (op.kind == Kind::kTruncate) {
          states.fill(State::kGone);
          continue;
        }
        State& state = states[static_cast<size_t>(op.key)];
        State& old = states[static_cast<size_t>(op.old_key.value_or(op.key))];
        const bool absent = state == State::kGone || state == State::kUnknown;
        if (op.kind == Kind::kInsert ? !absent : old == State::kGone) return false;
        if (&state != &old && !absent) return false;
        if (op.left_out != 0 && old != State::kSent) return false;
        const State after = op.left_out == 0 ? State::kSent : old;
        old = State::kGone;
        state = op.kind == Kind::kDelete ? State::kGone : after;
      }
    }
  }
  return true;
}

std::string Describe(const std::string& source, const Op& op) {
  static constexpr const char* kNames[] = {"INSERT", "UPDATE", "DELETE", "TRUNCATE"};
  std::string line =
      absl::StrFormat("%s@%d %s", source, op.hlc, kNames[static_cast<size_t>(op.kind)]);
  if (op.kind == Kind::kTruncate) return line;
  if (op.old_key.has_value())
    absl::StrAppendFormat(&line, " %d%s ->", *op.old_key, op.old_respelled ? ".0" : "");
  absl::StrAppendFormat(&line, " %d%s", op.key, op.respelled ? ".0" : "");
  return op.kind == Kind::kDelete ? line : line + Describe(op.image, op.left_out);
}

std::string Describe(const Image& image, uint32_t left_out) {
  std::string text;
  for (size_t column = 0; column < kColumns; ++column) {
    const char* name = Columns()[column].name;
    if ((left_out >> column & 1) != 0) {
      absl::StrAppendFormat(&text, " %s=(left out)", name);
    } else if (image[column].has_value()) {
      absl::StrAppendFormat(&text, " %s=%s", name, *image[column]);
    }
  }
  return text;
}

}  // namespace pmoves::conflicts
