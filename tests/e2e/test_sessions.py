"""What a role or a database prefers for its sessions reaches neither the programs nor the rows."""

HOSTILE = {
    "default_transaction_isolation": "'repeatable read'",   # brought deleted rows back
    "default_transaction_read_only": "on",                  # kept the subscriber out
    "default_transaction_deferrable": "on",
    "statement_timeout": "'700ms'",
    "lock_timeout": "1",
    "idle_session_timeout": "'1s'",
    "idle_in_transaction_session_timeout": "'50ms'",
    "transform_null_equals": "on",
    "array_nulls": "off",
    "bytea_output": "escape",
    "standard_conforming_strings": "off",
    "client_min_messages": "error",
}
SCHEMA = "CREATE TABLE t (id int PRIMARY KEY, v bytea, f float8, a text[], b boolean)"


def prefer(db, settings):
    db.execute("; ".join(f"ALTER DATABASE postgres SET {name} = {value}" for name, value in settings.items()))
    db.execute("ALTER ROLE postgres SET datestyle = 'SQL, DMY'")


def end_sessions(db):
    db.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'pmoves-sync%'")


def change_everything(fleet, first):
    edge = fleet.edge.db
    edge.execute(f"INSERT INTO t SELECT i, '\\x00ff5c', i, ARRAY[NULL, 'NULL'], true FROM generate_series({first}, {first + 99}) i")
    edge.execute(f"UPDATE t SET f = 'NaN', v = '\\x5c5c' WHERE id = {first + 1}")
    edge.execute(f"DELETE FROM t WHERE id = {first + 2}")
    fleet.wait_equal()


def test_what_a_database_prefers_does_not_reach_the_programs(new_pair):
    fleet = new_pair(SCHEMA, ["t"])
    for db in (fleet.edge.db, fleet.centre.db):
        prefer(db, HOSTILE)
    fleet.start()
    change_everything(fleet, 1)
    # A change after the sessions were made: those that exist keep their own, new ones make their own.
    for db in (fleet.edge.db, fleet.centre.db):
        prefer(db, {"default_transaction_isolation": "serializable"})
        end_sessions(db)
    change_everything(fleet, 1000)
    assert fleet.centre.dead_letters() == []


def test_the_options_of_a_dsn_do_not_reach_the_programs(new_pair):
    fleet = new_pair(SCHEMA, ["t"])
    options = " options='-c lock_timeout=1 -c bytea_output=escape -c default_transaction_read_only=on'"
    fleet.subscriber.configure({"postgres": {"dsn": fleet.centre.db.dsn() + options}})
    fleet.publisher.configure({"postgres": {"dsn": fleet.edge.db.dsn() + options}})
    fleet.start()
    change_everything(fleet, 1)
