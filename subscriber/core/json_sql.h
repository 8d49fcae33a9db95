// Objects of jsonb in statements. JsonObject: over any number of pairs. TextObject: the same of
// texts, at half the price. RowImage: a row as registers and the conflict log keep it.
//
// In the flow:  register_sql, recompute_sql, conflict_log_sql and others -> json_sql
// Thread: any. Pure.
#ifndef PMOVES_SUBSCRIBER_CORE_JSON_SQL_H_
#define PMOVES_SUBSCRIBER_CORE_JSON_SQL_H_

#include <string>
#include <string_view>
#include <vector>

#include "subscriber/core/target_table.h"

namespace pmoves {

// "'name', value"
std::string JsonPair(std::string_view name, std::string_view value);
// An expression of type jsonb. A function of Postgres takes at most 100 arguments: more pairs make
// several objects, joined.
std::string JsonObject(const std::vector<std::string>& pairs);

// Columns as an image: an object of texts. `values` are expressions of any type, each made text.
struct TextPair {
  std::string name;
  std::string value;
};
std::string TextObject(const std::vector<TextPair>& pairs);
// Column name -> text of each column of `alias` that is not generated.
std::string RowImage(const TargetTable& table, const std::string& alias);
// Of the columns of a shape alone.
std::string RowImage(const TargetTable& table, const Shape& shape, const std::string& alias);

}  // namespace pmoves

#endif  // PMOVES_SUBSCRIBER_CORE_JSON_SQL_H_
