// OpenLetters: of which rows a source has open dead letters.
//
// In the flow:  pmoves_sync.dead_letter -> OpenLetters -> worker: does this change meet one?
// Kept as hashes, so that a hundred thousand of them cost little. It may take a row for one of them
// that is not: whoever hears yes asks the table, which alone is true. It never says no wrongly:
// letters are opened by the owner of the source only, which adds them here, and one that somebody
// settles elsewhere merely stays until it is asked for.
// Thread:       its worker. Pure.
#ifndef PMOVES_SUBSCRIBER_CORE_OPEN_LETTERS_H_
#define PMOVES_SUBSCRIBER_CORE_OPEN_LETTERS_H_

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "absl/container/flat_hash_set.h"
#include "subscriber/core/target_table.h"

namespace pmoves {

class OpenLetters {
 public:
  // With more keys than this every row is taken for one of them (promise R1).
  static constexpr size_t kMostKeys = 1'000'000;

  // Schema and table as the source calls them; `key` is KeyText's.
  void Add(std::string_view schema, std::string_view table, std::string_view key);
  void Remove(std::string_view schema, std::string_view table, std::string_view key);
  bool MayHold(const TargetTable& table, std::string_view key) const;
  // A message of the table is set aside as a whole: any of its rows may lack a change.
  void AddTable(std::string_view schema, std::string_view table);
  void RemoveTable(std::string_view schema, std::string_view table);
  bool MayLack(const TargetTable& table) const;
  bool empty() const { return hashes_.empty() && !full_; }

 private:
  absl::flat_hash_set<uint64_t> hashes_;
  bool full_ = false;
};

}  // namespace pmoves

#endif  // PMOVES_SUBSCRIBER_CORE_OPEN_LETTERS_H_
