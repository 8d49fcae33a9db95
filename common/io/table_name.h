// TableName: a table as an operator writes it: schema.table, or a bare table, which means schema
// public.
//
// A part may be quoted as in SQL ("My.Table"); without quotes it is taken as it stands, with its
// case.
// Thread: any. Pure.
#ifndef PMOVES_COMMON_IO_TABLE_NAME_H_
#define PMOVES_COMMON_IO_TABLE_NAME_H_

#include <string>
#include <string_view>

namespace pmoves {

struct TableName {
  std::string schema;
  std::string table;          // empty for a whole schema
  bool whole_schema = false;  // schema.*

  // "public.jobs", for messages and for comparing.
  std::string Text() const { return schema + "." + (whole_schema ? "*" : table); }
};

// "" and *out, or what is wrong with the text.
std::string ParseTableName(std::string_view text, TableName* out);

}  // namespace pmoves

#endif  // PMOVES_COMMON_IO_TABLE_NAME_H_
