#include "subscriber/core/open_letters.h"

#include <functional>

namespace pmoves {
namespace {

constexpr std::string_view kAnyKey = "any";  // no KeyText: that is an object

uint64_t HashOf(std::string_view schema, std::string_view table, std::string_view key) {
  const std::hash<std::string_view> hash;
  uint64_t mixed = hash(schema);
  for (const std::string_view part : {table, key}) {
    mixed = (mixed ^ hash(part)) * 0x9E3779B97F4A7C15;
    mixed ^= mixed >> 32;
  }
  return mixed;
}

}  // namespace

void OpenLetters::Add(std::string_view schema, std::string_view table, std::string_view key) {
  if (full_) return;
  hashes_.insert(HashOf(schema, table, key));
  if (hashes_.size() <= kMostKeys) return;
  full_ = true;
  hashes_ = {};
}

void OpenLetters::Remove(std::string_view schema, std::string_view table, std::string_view key) {
  hashes_.erase(HashOf(schema, table, key));
}

bool OpenLetters::MayHold(const TargetTable& table, std::string_view key) const {
  return full_ || hashes_.contains(HashOf(table.SourceSchema(), table.SourceTable(), key));
}

void OpenLetters::AddTable(std::string_view schema, std::string_view table) {
  Add(schema, table, kAnyKey);
}

void OpenLetters::RemoveTable(std::string_view schema, std::string_view table) {
  Remove(schema, table, kAnyKey);
}

bool OpenLetters::MayLack(const TargetTable& table) const { return MayHold(table, kAnyKey); }

}  // namespace pmoves
