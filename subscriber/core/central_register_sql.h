// central_register_sql: what writes in the centre leave in tables with registers, as parts of the
// trigger function of central_sql.
//
// In the flow:  central_sql -> central_register_sql
// The centre is one source more, with one difference: people look at the row that the rules made of
// all reports, and change a column of it. What they left alone they did not report. So
//   - columns under the rule of the row are reported together, as they stand in the row;
//   - a column (or group) with a rule of its own is reported only when it changes: someone who
//     edits the note of a running job must not keep it running;
//   - of sum-of-sources the difference is the centre's own contribution; of json-merge only members
//     that changed get a version.
// A row that has no registers yet (it was there before its table needed any) gets one under its
// _source first.
// Thread: any. Pure.
#ifndef PMOVES_SUBSCRIBER_CORE_CENTRAL_REGISTER_SQL_H_
#define PMOVES_SUBSCRIBER_CORE_CENTRAL_REGISTER_SQL_H_

#include <string>
#include <vector>

#include "subscriber/core/target_table.h"

namespace pmoves {

inline constexpr char kCentralRegisterVariables[] =
    "  my_old text;\n"
    "  my_new text;\n"
    "  my_version bigint;\n"
    "  my_image jsonb;\n"
    "  g pmoves_sync.register%ROWTYPE;\n";
// Versions above all that the centre has of `key`, to be put into GREATEST; NULL: it has nothing.
std::string AboveAll(const TargetTable& table, const std::string& key);
// The columns under the rule of the row: those without a rule of their own, also the key.
std::vector<std::string> RowRuleColumns(const TargetTable& table);
// Before a TRUNCATE.
std::string CentralTruncate(const TargetTable& table);
// After any other write of a row.
std::string CentralReports(const TargetTable& table);

}  // namespace pmoves

#endif  // PMOVES_SUBSCRIBER_CORE_CENTRAL_REGISTER_SQL_H_
