"""Two tables, compared as text, row by row, in the order of the key."""

from psycopg2 import sql

from .tables import INLINE_COLUMNS

# Output of both sides must not depend on what their databases have set.
_PINNED = """SET bytea_output = 'hex'; SET datestyle = 'ISO, MDY'; SET intervalstyle = 'postgres'; SET extra_float_digits = 3;
             SET timezone = 'UTC'; SET search_path = ''"""


def identifier(table):
    """A table as ("schema", "name") or "name" (of public), quoted for SQL."""
    return sql.Identifier(*table) if isinstance(table, tuple) else sql.Identifier("public", table)


def _columns(cursor, table):
    cursor.execute(sql.SQL("""
        SELECT a.attname FROM pg_attribute a WHERE a.attrelid = {}::regclass AND a.attnum > 0 AND NOT a.attisdropped
        ORDER BY a.attnum""").format(sql.Literal(identifier(table).as_string(cursor))))
    return [name for (name,) in cursor.fetchall() if name not in INLINE_COLUMNS]


def _key(cursor, table):
    cursor.execute(sql.SQL("""
        SELECT a.attname FROM pg_index i
        JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
        WHERE i.indrelid = {}::regclass AND i.indisprimary""").format(sql.Literal(identifier(table).as_string(cursor))))
    return [name for (name,) in cursor.fetchall()]


def _select(columns, key, table, where):
    order = key or columns
    return sql.SQL('SELECT {} FROM {} {} ORDER BY {}').format(
        sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(name)) for name in columns), identifier(table),
        sql.SQL(where and f"WHERE {where}" or ""),
        sql.SQL(", ").join(sql.SQL('{}::text COLLATE "C"').format(sql.Identifier(name)) for name in order))


def _digest(select, cursor):
    """Number of rows and a digest over all of them, made by the server."""
    cursor.execute(sql.SQL("SELECT count(*), md5(string_agg(md5(t::text), '')) FROM ({}) t").format(select))
    return cursor.fetchone()


def difference(edge, centre, table, limit=10, edge_where="", centre_where=""):
    """"" when the centre holds exactly the edge's rows, else a text that shows the first differences."""
    with edge.cursor() as left, centre.cursor() as right:
        left.execute(_PINNED)
        right.execute(_PINNED)
        columns = _columns(left, table)
        lacking = set(columns) ^ set(_columns(right, table))
        if lacking:
            return f"{table}: only one side has the columns {sorted(lacking)}"
        key = _key(left, table)
        ours = _select(columns, key, table, edge_where)
        theirs = _select(columns, key, table, centre_where)
        if _digest(ours, left) == _digest(theirs, right):
            return ""
        left.execute(ours)
        right.execute(theirs)
        return _describe(table, columns, key or columns, left.fetchall(), right.fetchall(), limit)


def _describe(table, columns, key, edge_rows, centre_rows, limit):
    places = [columns.index(name) for name in key]

    def by_key(rows):
        return {tuple(row[place] for place in places): row for row in rows}

    ours, theirs = by_key(edge_rows), by_key(centre_rows)
    lines = [f"{table}: {len(edge_rows)} rows at the edge, {len(centre_rows)} in the centre"]
    for found in sorted(ours.keys() | theirs.keys(), key=repr):
        if len(lines) > limit:
            lines.append("  ...")
            break
        left, right = ours.get(found), theirs.get(found)
        if left is None or right is None:
            lines.append(f"  {found!r:.200}: {'missing at the edge' if left is None else 'missing in the centre'}")
        elif left != right:
            for name, mine, other in zip(columns, left, right):
                if mine != other:
                    lines.append(f"  {found!r:.200} {name}: edge {mine!r:.120}, centre {other!r:.120}")
    return "\n".join(lines)


def assert_equal(edge, centre, tables, **how):
    problems = [text for text in (difference(edge, centre, table, **how) for table in tables) if text]
    assert not problems, "\n".join(problems)
