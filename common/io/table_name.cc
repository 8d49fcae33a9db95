#include "common/io/table_name.h"

#include "absl/strings/str_format.h"

namespace pmoves {
namespace {

constexpr size_t kMaxNameBytes = 63;  // NAMEDATALEN - 1

struct Part {
  std::string name;
  bool quoted = false;
};

// Takes one part off the front, up to a '.' outside of quotes.
std::string TakePart(std::string_view* text, Part* part) {
  if (!text->empty() && text->front() == '"') {
    part->quoted = true;
    text->remove_prefix(1);
    while (true) {
      const size_t quote = text->find('"');
      if (quote == std::string_view::npos) return "a quote is not closed";
      part->name.append(text->substr(0, quote));
      text->remove_prefix(quote + 1);
      if (text->empty() || text->front() != '"') break;
      part->name.push_back('"');
      text->remove_prefix(1);
    }
    if (!text->empty() && text->front() != '.') return "expected '.' after a quoted name";
  } else {
    const std::string_view name = text->substr(0, text->find('.'));
    if (name.find_first_of(" \t\"") != std::string_view::npos) {
      return "a name with blanks or quotes must be quoted as in SQL";
    }
    part->name = std::string(name);
    text->remove_prefix(name.size());
  }
  if (part->name.empty()) return "a part of the name is empty";
  if (part->name.size() > kMaxNameBytes) return "a part of the name is longer than 63 bytes";
  return "";
}

}  // namespace

std::string ParseTableName(std::string_view text, TableName* out) {
  const auto wrong = [&](const std::string& what) {
    return absl::StrFormat("'%s' is not a table name: %s; write schema.table", text, what);
  };
  std::string_view rest = text;
  Part first;
  std::string problem = TakePart(&rest, &first);
  if (!problem.empty()) return wrong(problem);
  Part second;
  const bool has_schema = !rest.empty();
  if (has_schema) {
    rest.remove_prefix(1);
    problem = TakePart(&rest, &second);
    if (!problem.empty()) return wrong(problem);
    if (!rest.empty()) return wrong("more than two parts");
  }
  const Part& table = has_schema ? second : first;
  const bool schema_star = has_schema && !first.quoted && first.name == "*";
  const bool star = !table.quoted && table.name == "*";
  if (schema_star || (star && !has_schema)) return wrong("'*' needs a schema before it");
  *out = TableName{has_schema ? first.name : "public", star ? "" : table.name, star};
  return "";
}

}  // namespace pmoves
