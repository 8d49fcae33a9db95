#include "common/io/pg_settings.h"

namespace pmoves {

SessionSettings PinnedTextSettings() {
  return {
      {"bytea_output", "hex"},     {"datestyle", "ISO"}, {"intervalstyle", "postgres"},
      {"extra_float_digits", "3"}, {"timezone", "UTC"},  {"lc_monetary", "C"},
      {"xmloption", "content"},
  };
}

SessionSettings PinnedSettings() {
  SessionSettings settings = PinnedTextSettings();
  const SessionSettings others = {
      {"client_encoding", "UTF8"},
      // wal2json only warns of what it drops.
      {"client_min_messages", "warning"},
      // How literals and comparisons are read.
      {"standard_conforming_strings", "on"},
      {"backslash_quote", "safe_encoding"},
      {"array_nulls", "on"},  // off: an element that is NULL becomes the text NULL
      {"transform_null_equals", "off"},
      // Which text reg* types and XML functions give.
      {"quote_all_identifiers", "off"},
      {"xmlbinary", "base64"},
      // An error instead of silently missing rows.
      {"row_security", "off"},
      {"restrict_nonsystem_relation_kind", ""},
      // Our own tables are written for it.
      {"default_table_access_method", "heap"},
      {"check_function_bodies", "on"},
      // repeatable read would look at rows as they were before a wait.
      {"default_transaction_isolation", "read committed"},
      {"default_transaction_read_only", "off"},
      {"default_transaction_deferrable", "off"},
      // Who needs a limit sets its own; one that somebody chose for people ends a session or a
      // batch at random.
      {"statement_timeout", "0"},
      {"lock_timeout", "0"},
      {"transaction_timeout", "0"},
      {"idle_in_transaction_session_timeout", "0"},
      {"idle_session_timeout", "0"},
  };
  settings.insert(settings.end(), others.begin(), others.end());
  return settings;
}

}  // namespace pmoves
