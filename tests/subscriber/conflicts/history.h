// History: what a few sources did to a few keys, and the orders in which the centre may hear of it.
//
// Each source is a small database of its own: it inserts what it does not have, updates and deletes
// what it has. Stamps rise within a source; between sources they tie, stand still and jump, as the
// clocks of edge boxes do. A case is a history with one order of arrival. Hundreds of cases live
// side by side in one table, each under keys of its own; only TRUNCATE knows no keys, so all cases
// of a round share the same truncates (TruncatePlan).
// Thread: one.
#ifndef PMOVES_TESTS_SUBSCRIBER_CONFLICTS_HISTORY_H_
#define PMOVES_TESTS_SUBSCRIBER_CONFLICTS_HISTORY_H_

#include <array>
#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace pmoves::conflicts {

using Random = std::mt19937_64;
// From 0 to below `end`.
size_t Pick(Random& random, size_t end);
bool Chance(Random& random, double probability);

inline constexpr int kKeys = 3;  // of one case

// The columns of every table under test; the key `id` stands before them.
enum Column { kA, kB, kStatus, kWorker, kRun, kN, kM, kTags, kDoc, kDeletedAt, kColumns };
struct ColumnInfo {
  const char* name;
  const char* type;
  bool quoted;                      // its JSON token is a string
  std::vector<const char*> values;  // what sources write; nullptr is NULL
};
const std::array<ColumnInfo, kColumns>& Columns();

using Text = std::optional<std::string>;
using Image = std::array<Text, kColumns>;

enum class Kind { kInsert, kUpdate, kDelete, kTruncate };

// One change. A change of the key is an update with old_key != key, or one that spells the same key
// anew (5 and 5.0 are one key for the database).
struct Op {
  Kind kind = Kind::kInsert;
  int64_t hlc = 0;
  int64_t commit_us = 0;
  int key = 0;
  bool respelled = false;  // the key is written 5.0
  std::optional<int> old_key;
  bool old_respelled = false;
  Image image;            // whole, whatever travels
  uint32_t left_out = 0;  // update: columns that do not travel, as unchanged TOAST, by bit
  bool Omits(int column) const { return (left_out >> column & 1) != 0; }
};

using Transaction = std::vector<Op>;

struct History {
  std::vector<std::string> sources;
  std::vector<std::vector<Transaction>> transactions;  // by source, in its order
};

// Truncates that all histories of a round share: `source` (an index) at version `hlc`. They arrive
// in this order.
struct PlannedTruncate {
  int source = 0;
  int64_t hlc = 0;
};
using TruncatePlan = std::vector<PlannedTruncate>;

struct HistoryOptions {
  std::vector<std::string> sources;  // up to so many take part
  int changes = 6;                   // of one source, at most, besides truncates
  bool partial = false;              // updates may leave columns out
  bool unseen = false;               // a row may be older than the replication of its source
  TruncatePlan truncates;
};

TruncatePlan MakeTruncatePlan(Random& random, size_t sources);
History MakeHistory(Random& random, const HistoryOptions& options);

// The order in which the transactions of a history arrive: source indexes, each as often as the
// source has transactions.
using Interleaving = std::vector<int>;
// How many orders keep every source's own order (and that of the plan's truncates), counted up to
// `limit`.
size_t CountInterleavings(const History& history, const TruncatePlan& plan, size_t limit);
// `wanted` different ones if there are so many, else all.
std::vector<Interleaving> MakeInterleavings(Random& random, const History& history,
                                            const TruncatePlan& plan, size_t wanted);

// Whether sources could have done this: they insert what they do not have, change what they have
// and leave out only what they sent before. Shrinking asks.
bool IsPlausible(const History& history, bool unseen);

// For people: "ab@5 UPDATE 0 status=running n=1", and " status=running n=1".
std::string Describe(const std::string& source, const Op& op);
std::string Describe(const Image& image, uint32_t left_out = 0);

}  // namespace pmoves::conflicts

#endif  // PMOVES_TESTS_SUBSCRIBER_CONFLICTS_HISTORY_H_
