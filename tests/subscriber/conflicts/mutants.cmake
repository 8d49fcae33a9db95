add_library(testing_mutant OBJECT mutant_test.cc)
target_link_libraries(testing_mutant PUBLIC pmoves::testing_conflicts GTest::gtest)
pmoves_precompiled(testing_mutant)

# pmoves_mutant(NAME FILE RULES  FROM TO [FROM TO ...])
#
# A test that passes when the convergence suite finds a fault: FILE (of subscriber/core) with every FROM replaced by TO is linked before the library that
# has the true one. A FROM that is not in FILE stops the configuration: a mutant that mutates nothing proves nothing. RULES: what the names of the rule
# cases begin with that it is tried on.
function(pmoves_mutant name file rules)
  set(source ${PROJECT_SOURCE_DIR}/subscriber/core/${file})
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${source})
  file(READ ${source} text)
  math(EXPR last "${ARGC} - 1")
  foreach(from_index RANGE 3 ${last} 2)
    math(EXPR to_index "${from_index} + 1")
    set(from "${ARGV${from_index}}")
    string(FIND "${text}" "${from}" place)
    if(place EQUAL -1)
      message(FATAL_ERROR "mutant ${name}: subscriber/core/${file} does not contain\n${from}")
    endif()
    string(REPLACE "${from}" "${ARGV${to_index}}" text "${text}")
  endforeach()
  set(mutated ${CMAKE_CURRENT_BINARY_DIR}/mutants/${name}/${file})
  set(before "")
  if(EXISTS ${mutated})
    file(READ ${mutated} before)
  endif()
  if(NOT before STREQUAL text)
    file(WRITE ${mutated} "${text}")
  endif()
  pmoves_test(mutant_${name}_test SRCS ${mutated} DEPS testing_mutant LABELS conflicts TIMEOUT 300)
  # What is shown is that the suite can fail: which history does it is no news, so the seed is fixed.
  set_tests_properties(mutant_${name}_test PROPERTIES ENVIRONMENT "PMOVES_MUTANT_RULES=${rules};PMOVES_TEST_SEED=20261122")
endfunction()

# ---- by row version

pmoves_mutant(no_tie_break merge_sql.cc newest_delete_newest_truncate_ignored
  [=["(%s._sync_version, %s._source COLLATE \"C\") %s (%s._sync_version, %s._source COLLATE "
      "\"C\")",
      left, left, op, right, right]=]
  [=["%s._sync_version %s %s._sync_version", left, op, right]=])

pmoves_mutant(no_tie_break_in_batch batch.cc newest_delete_newest_truncate_own
  "return *a.source > *b.source;" "return true;")

pmoves_mutant(no_tombstone merge_sql.cc newest_delete_newest_truncate_ignored
  "std::string NotBuried(const TargetTable& table) {\n"
  "std::string NotBuried(const TargetTable& table) {\n  if (!table.schema.empty()) return \"true\";\n")

# Of one version are a delete and the row under another spelling of its key.
pmoves_mutant(ge_for_gt merge_sql.cc newest_delete_newest_truncate_ignored
  [=[CompareVersions("t", "<", "EXCLUDED")]=] [=[CompareVersions("t", "<=", "EXCLUDED")]=]
  [=[CompareVersions("t", "<", "s")]=] [=[CompareVersions("t", "<=", "s")]=]
  [=["(d.version, d.source) > "]=] [=["(d.version, d.source) >= "]=])

# Ties go to whoever comes last.
pmoves_mutant(last_arrival_wins_ties merge_sql.cc newest_delete_newest_truncate_ignored
  [=["(%s._sync_version, %s._source COLLATE \"C\") %s (%s._sync_version, %s._source COLLATE "
      "\"C\")",
      left, left, op, right, right]=]
  [=["%s._sync_version %s= %s._sync_version", left, op, right]=])

pmoves_mutant(tombstone_a_tick_above merge_sql.cc newest_delete_newest_truncate_own
  "g._sync_version, g._source || ' '" "g._sync_version + 1, g._source")

pmoves_mutant(no_floor merge_sql.cc newest_delete_newest_truncate_all
  "if (table.policy.truncate == TruncatePolicy::kAll) {\n    condition +="
  "if (table.policy.truncate == TruncatePolicy::kQuarantine) {\n    condition +=")

# ---- by registers

pmoves_mutant(no_register conflict_rule.cc first_delete_newest
  "return !by_row || !plain_delete;" "return by_row && !by_row && plain_delete;")

pmoves_mutant(no_tie_break_of_registers rule_sql.cc manual_delete_own
  [=["c.v DESC, c.source DESC"]=] [=["c.v DESC"]=])

pmoves_mutant(no_delete_in_registers recompute_sql.cc manual_delete_newest
  [=["NOT g.deleted"]=] [=["NOT (g.deleted AND false)"]=])

# A withdrawn report keeps its version, so its redelivery would bring it back.
pmoves_mutant(ge_for_gt_in_registers register_sql.cc manual_delete_newest_truncate_own
  [=[WHERE g.version < EXCLUDED.version]=] [=[WHERE g.version <= EXCLUDED.version]=])

pmoves_mutant(collapsed_reports register_sql.cc newest_by_column
  "bool NeedsEveryChange(const TablePolicy& policy) {\n"
  "bool NeedsEveryChange(const TablePolicy& policy) {\n  if (policy.max_future > absl::ZeroDuration()) return false;\n")

# ---- what is forgotten

pmoves_mutant(forgets_delete_wins collect_sql.cc first_delete_wins
  "case DeletePolicy::kDeleteWins:\n      return false;" "case DeletePolicy::kDeleteWins:\n      return true;")

pmoves_mutant(forgets_peaks collect_sql.cc value_priority_absorbing_delete_own
  "|| HasPeaks(policy)" "|| (HasPeaks(policy) && policy.columns.empty())")
