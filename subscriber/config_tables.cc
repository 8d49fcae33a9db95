#include "subscriber/config_tables.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "absl/strings/str_format.h"
#include "common/io/config_values.h"
#include "common/io/table_name.h"
#include "subscriber/config_conflicts.h"

namespace pmoves {
namespace {

using SchemaAndTable = std::pair<std::string, std::string>;

// "" and *schema and *table, or what is wrong.
std::string SetTable(const std::string& written, std::string* schema, std::string* table) {
  TableName name;
  const std::string wrong = ParseTableName(written, &name);
  if (!wrong.empty()) return wrong;
  if (name.whole_schema) {
    return absl::StrFormat("'%s' names a whole schema; the subscriber needs each table by name",
                           written);
  }
  *schema = name.schema;
  *table = name.table;
  return "";
}

// Name -> text of a mapping whose keys the operator chooses.
std::map<std::string, std::string, std::less<>> ReadTexts(ConfigReader& reader) {
  std::map<std::string, std::string, std::less<>> texts;
  for (const std::string& key : reader.Keys()) reader.String(key.c_str(), &texts[key]);
  return texts;
}

void ReadColumnMapping(ConfigReader& entry, ColumnMapping* mapping) {
  std::vector<std::string> skip;
  entry.StringList("skip", &skip);
  CheckListedTwice(entry, "skip", skip);
  mapping->skip.insert(skip.begin(), skip.end());
  ConfigReader& rename = entry.Section("rename");
  mapping->rename = ReadTexts(rename);
  std::map<std::string, std::string> old_names;  // by new name
  for (const auto& [old_name, new_name] : mapping->rename) {
    std::string wrong = CheckColumnName(new_name);
    const auto [found, inserted] = old_names.emplace(new_name, old_name);
    if (!wrong.empty()) {
    } else if (mapping->skip.count(old_name) > 0) {
      wrong = absl::StrFormat("'%s' is in 'skip'", old_name);
    } else if (!inserted) {
      wrong = absl::StrFormat("'%s' is also the new name of '%s'", new_name, found->second);
    }
    if (!wrong.empty()) rename.Problem(old_name.c_str(), wrong);
  }
  ConfigReader& constants = entry.Section("constants");
  mapping->constants = ReadTexts(constants);
  for (const auto& [column, text] : mapping->constants) {
    std::string wrong = CheckColumnName(column);
    const auto renamed = old_names.find(column);
    if (wrong.empty() && renamed != old_names.end()) {
      wrong = absl::StrFormat("'%s' is also the new name of '%s'", column, renamed->second);
    }
    if (!wrong.empty()) constants.Problem(column.c_str(), wrong);
  }
}

void ReadSources(ConfigReader& entry, const std::vector<std::string>& known_sources,
                 std::vector<std::string>* out) {
  entry.StringList("sources", out);
  CheckSources(entry, *out);
  for (size_t i = 0; i < out->size() && !known_sources.empty(); ++i) {
    if (std::find(known_sources.begin(), known_sources.end(), (*out)[i]) == known_sources.end()) {
      entry.Problem("sources", i,
                    absl::StrFormat("'%s' is not in the list 'sources': %s", (*out)[i],
                                    JoinCommas(known_sources)));
    }
  }
}

TableConfig ReadTable(ConfigReader& entry, const TablePolicy& defaults,
                      const std::vector<std::string>& known_sources) {
  TableConfig table;
  std::string written;
  entry.String("table", &written);
  entry.Required("table");
  if (entry.Has("table")) {
    const std::string wrong = SetTable(written, &table.schema, &table.table);
    if (!wrong.empty()) entry.Problem("table", wrong);
  }
  int on_error = static_cast<int>(table.on_error);
  entry.Choice("on_error", {"row", "transaction", "block"}, &on_error);
  table.on_error = static_cast<OnError>(on_error);
  int narrowing = 0;
  entry.Choice("narrowing", {"refuse", "allow"}, &narrowing);
  table.narrowing_allowed = narrowing == 1;
  ReadSources(entry, known_sources, &table.sources);
  table.policy = defaults;
  ReadTablePolicy(entry, table.sources.empty() ? known_sources : table.sources, &table.policy);
  std::string from;
  entry.String("from", &from);
  if (entry.Has("from")) {
    const std::string wrong = SetTable(from, &table.from_schema, &table.from_table);
    if (!wrong.empty()) entry.Problem("from", wrong);
  }
  ReadColumnMapping(entry, &table.mapping);
  return table;
}

void ReadEntries(const std::vector<ConfigReader*>& entries, const TablePolicy& defaults,
                 SubscriberConfig* config) {
  std::set<SchemaAndTable> seen;
  std::map<SchemaAndTable, std::string> origins;  // what sources send -> who takes it
  for (ConfigReader* entry : entries) {
    TableConfig table = ReadTable(*entry, defaults, config->sources);
    if (!table.table.empty()) {
      if (!seen.emplace(table.schema, table.table).second) {
        entry->Problem("table",
                       absl::StrFormat("'%s.%s' is listed twice", table.schema, table.table));
      } else if (const auto [found, inserted] =
                     origins.emplace(SchemaAndTable{table.SourceSchema(), table.SourceTable()},
                                     table.schema + "." + table.table);
                 !inserted) {
        entry->Problem(entry->Has("from") ? "from" : "table",
                       absl::StrFormat("what sources call '%s.%s' goes to '%s' already",
                                       found->first.first, found->first.second, found->second));
      }
    }
    config->tables.push_back(std::move(table));
  }
}

}  // namespace

void CheckSources(ConfigReader& reader, const std::vector<std::string>& sources) {
  for (size_t i = 0; i < sources.size(); ++i) {
    const std::string wrong = CheckSourceName(sources[i]);
    if (!wrong.empty()) reader.Problem("sources", i, wrong);
  }
  CheckListedTwice(reader, "sources", sources);
}

void ReadTables(ConfigSource* source, const ServiceNames& names, SubscriberConfig* config) {
  ConfigReader& root = source->root();
  RuleKind rule = RuleKind::kLastWriteWins;
  for (const RuleInfo& info : AllRules()) {
    if (names.conflict == info.name) rule = info.kind;
  }
  const TablePolicy defaults = DefaultPolicy(config->conflicts, rule);
  const std::vector<ConfigReader*> entries = root.SectionList("tables", "table");
  ReadEntries(entries, defaults, config);
  for (size_t i = 0; i < entries.size() && names.conflict.has_value(); ++i) {
    if (entries[i]->Has("conflict")) continue;
    source->Effective(absl::StrFormat("tables[%d].conflict", i), *names.conflict,
                      "env CONFLICT_RESOLUTION");
  }
  if (root.Has("tables")) {
    if (entries.empty()) root.Problem("tables", "names no table");
    source->Remark("SYNC_TABLES", "no effect: tables is set in " + root.Where("tables"));
    return;
  }
  if (!names.tables.has_value()) return root.Required("tables");
  std::set<SchemaAndTable> seen;
  for (const std::string& written : *names.tables) {
    TableConfig table;
    table.policy = defaults;
    std::string wrong = SetTable(written, &table.schema, &table.table);
    if (wrong.empty() && !seen.emplace(table.schema, table.table).second) {
      wrong = absl::StrFormat("'%s' is listed twice", written);
    }
    if (!wrong.empty()) source->Problem("env SYNC_TABLES", wrong);
    config->tables.push_back(std::move(table));
  }
}

}  // namespace pmoves
