// key_types: whether the keys of a table have one text each.
//
// In the flow:  the catalog (types of the primary key's columns) -> key_types -> TargetCatalog,
// check
// A batch is planned by the bytes of the keys, and tombstones and registers are found by the text
// of the key. Where two values are equal for the database and look different, the changes of one
// row would be taken for those of two. Types whose equal values have one text, or get one
// (TargetColumn::KeyText), are let in; the others are refused by name.
// Thread: any. Pure.
#ifndef PMOVES_SUBSCRIBER_CORE_KEY_TYPES_H_
#define PMOVES_SUBSCRIBER_CORE_KEY_TYPES_H_

#include <string>
#include <vector>

#include "subscriber/core/target_table.h"

namespace pmoves {

// One of the types that a key column is made of: itself, or (nested) an element of an array, the
// bound of a range, a field of a composite type. Below all domains.
struct KeyPart {
  std::string column;
  std::string type;      // pg_type.typname
  bool built_in = true;  // of pg_catalog
  bool is_enum = false;
  bool nested = false;
  bool deterministic = true;  // its collation
};

// How values of the type get their one text.
TargetColumn::KeyText KeyTextOfType(const std::string& base_type);
// Why equal keys may look different, one text per column; empty: they do not.
std::vector<std::string> KeyProblems(const std::vector<KeyPart>& parts);

}  // namespace pmoves

#endif  // PMOVES_SUBSCRIBER_CORE_KEY_TYPES_H_
