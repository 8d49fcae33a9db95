"""Values of every type that a table can hold: name of the type -> SQL literals (without the cast)."""

# Base types of pg_catalog that no column of a user's table holds: kept by the server for itself, or without text input.
NOT_FOR_TABLES = {
    "gtsvector", "pg_brin_bloom_summary", "pg_brin_minmax_multi_summary", "pg_dependencies", "pg_mcv_list", "pg_ndistinct",
    "pg_node_tree",
}

_DATES = ["2026-11-22", "0001-01-01", "4713-01-01 BC", "9999-12-31", "infinity", "-infinity"]
_STAMPS = ["2026-11-22 10:00:00.123456", "1970-01-01", "0044-03-15 12:00 BC", "infinity", "-infinity"]

BUILT_IN = {
    "bool": ["t", "f"],
    "int2": ["-32768", "32767", "0"],
    "int4": ["-2147483648", "2147483647"],
    "int8": ["-9223372036854775808", "9223372036854775807", "9007199254740993"],
    "oid": ["0", "4294967295"],
    "float4": ["0.1", "-0", "1e-40", "3.4028235e38", "NaN", "Infinity", "-Infinity"],
    "float8": ["0.1", "-0", "5e-324", "1.7976931348623157e308", "0.123456789012345678", "NaN", "Infinity", "-Infinity"],
    "numeric": ["0", "0.000", "123456789012345678901234567890.000100", "-1e-30", "1e100", "NaN", "Infinity", "-Infinity"],
    "money": ["$1,234.50", "-92233720368547758.08"],
    "text": ["", " ", "plain", "quote'\"back\\slash", "tab\tnewline\ncr\rbell\x07del\x7f", "grüße 你好 👩‍🚀 \u202e", "NULL", "null",
             "\\N", "{}", "\\x41", "\u2028\u0085"],
    "varchar": ["", "ünïcode"],
    "bpchar": ["x ", "abc"],
    "name": ["a name", "pg_class"],
    '"char"': ["z", "", "\\"],
    "bytea": ["", "\\x00", "\\x00ff10deadbeef5c", "\\x5c78"],
    "date": _DATES,
    "time": ["00:00", "23:59:59.999999", "24:00:00"],
    "timetz": ["00:00+00", "23:59:59.999999-15:59", "12:00+05:45"],
    "timestamp": _STAMPS,
    "timestamptz": [*_STAMPS[:3], "2026-11-22 10:00:00.5+05:45", "infinity", "-infinity"],
    "interval": ["0", "1 year 2 mons -3 days 04:05:06.789", "-178000000 years", "1 mon -1 day"],
    "uuid": ["00000000-0000-0000-0000-000000000000", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"],
    "json": ['{"b":1,  "a":[1.0,1e3,null], "a":2}', '"text"', "null", "-0.10"],
    "jsonb": ['{"b": 1, "a": [1.0, 1e3, null]}', '"\\u00fc \\\\ \\" 👍"', "null", "123456789012345678901234567890.10"],
    "jsonpath": ["$.a[*] ? (@ > 1)"],
    "xml": ["<a b=\"c\">d &amp; e</a>"],
    "inet": ["10.0.0.1/8", "::1", "192.168.1.1"],
    "cidr": ["10.0.0.0/8", "2001:db8::/32"],
    "macaddr": ["08:00:2b:01:02:03"],
    "macaddr8": ["08:00:2b:01:02:03:04:05"],
    "bit": ["1", "0"],
    "varbit": ["", "1011001"],
    "point": ["(1.5,-2)", "(NaN,Infinity)"],
    "line": ["{1,2,3}"],
    "lseg": ["[(1,2),(3,4)]"],
    "box": ["(3,4),(1,2)"],
    "path": ["[(1,2),(3,4)]", "((1,2),(3,4))"],
    "polygon": ["((1,2),(3,4),(5,6))"],
    "circle": ["<(1,2),3.5>"],
    "tsvector": ["'a':1A 'fat':2B,4C 'quo''te':5"],
    "tsquery": ["'fat' & ( 'rat' | !'cat' )"],
    "pg_lsn": ["0/0", "16/B374D848"],
    "xid": ["0", "4294967295"],
    "xid8": ["18446744073709551615"],
    "cid": ["7"],
    "tid": ["(4294967295,65535)"],
    "pg_snapshot": ["10:20:10,14,15"],
    "txid_snapshot": ["10:20:10,14,15"],
    "int2vector": ["1 2 3"],
    "oidvector": ["1 2 3"],
    "refcursor": ["a cursor"],
    "aclitem": ["postgres=r*w/postgres"],
    "regclass": ["pg_class"],
    "regcollation": ['"C"'],
    "regconfig": ["english"],
    "regdictionary": ["simple"],
    "regnamespace": ["pg_catalog"],
    "regoper": ["||/"],
    "regoperator": ["+(integer,integer)"],
    "regproc": ["now"],
    "regprocedure": ["sum(integer)"],
    "regrole": ["postgres"],
    "regtype": ["integer", "text[]"],
    "int4range": ["empty", "[1,5)", "(,)", "[3,)"],
    "int8range": ["[1,9223372036854775807)"],
    "numrange": ["[1.50,2.0]", "(NaN,NaN)", "empty"],
    "daterange": ["[2026-01-01,infinity)", "(,2026-01-01)"],
    "tsrange": ['["2026-01-01 00:00:00.5",infinity]'],
    "tstzrange": ['["2026-01-01 00:00:00+05:45",)'],
    "int4multirange": ["{}", "{[1,3),[5,8)}"],
    "int8multirange": ["{[1,3)}"],
    "nummultirange": ["{[1.5,2.5),[3,)}"],
    "datemultirange": ["{[2026-01-01,2026-02-01)}"],
    "tsmultirange": ["{[2026-01-01,2026-02-01)}"],
    "tstzmultirange": ["{[2026-01-01,2026-02-01)}"],
}

# Arrays that say more than one element does.
ARRAYS = {
    "text": ["{}", '{NULL,"NULL","",a b,"q\\"uote","{","back\\\\slash",ü👍}', "{{a,b},{c,d}}", "[2:3]={x,y}"],
    "int4": ["[0:1][-1:0]={{1,2},{3,4}}"],
    "float8": ["{NaN,Infinity,-Infinity,-0,NULL}"],
    "numeric": ["{NaN,1.500,Infinity}"],
    "bytea": ['{"\\\\x00ff",NULL}'],
    "timestamptz": ["{infinity,-infinity}"],
    "bool": ["{t,f,NULL}"],
}

USER_TYPES_SQL = """
CREATE EXTENSION hstore;
CREATE EXTENSION citext;
CREATE SCHEMA "Sch.ema x";
CREATE TYPE "Sch.ema x"."Mo od" AS ENUM ('sad', 'o''k', 'very "happy"', 'glücklich 😀', '');
CREATE DOMAIN "Sch.ema x".positive AS numeric CHECK (VALUE > 0);
CREATE DOMAIN any_float AS float8;
CREATE DOMAIN blob AS bytea;
CREATE DOMAIN flag AS bool;
CREATE DOMAIN label AS text;
CREATE DOMAIN int_list AS int[];
CREATE TYPE pair AS (a int, "B b" text);
CREATE TYPE nested AS (p pair, ps pair[], f float8, b bytea, m "Sch.ema x"."Mo od");
CREATE DOMAIN pair_domain AS pair;
CREATE TYPE floatrange AS RANGE (subtype = float8);
"""

USER_TYPES = {
    "hstore": ['a=>1, "quo\\"te"=>NULL, "ü =>"=>"x y"', ""],
    "citext": ["MiXed", "ÜBER"],
    '"Sch.ema x"."Mo od"': ["sad", "o'k", 'very "happy"', "glücklich 😀", ""],
    '"Sch.ema x".positive': ["1.500", "NaN", "Infinity"],
    "any_float": ["NaN", "-Infinity", "0.1"],
    "blob": ["", "\\x00ff", "\\x5c78"],
    "flag": ["t", "f"],
    "label": ["", "\\x41"],
    "int_list": ["{}", "{1,NULL,3}"],
    "pair": ['(1,"a,b")', "(,)", '(2,"")', '(3,"q""uote\\\\")'],
    "nested": ['("(1,x)","{""(2,y)"",NULL}",NaN,"\\\\x00ff","very ""happy""")'],
    "pair_domain": ['(7,"z")'],
    "floatrange": ["[0.1,Infinity)", "empty"],
    "floatmultirange": ["{[0.1,0.2],[3,4)}"],
    "numeric(30,10)": ["12345678901234567890.1234567890", "NaN"],
    "varchar(5)": ["abcde", "ü"],
    "char(8)": ["pad", ""],
    "bit(8)": ["10101010"],
    "time(3)": ["12:00:00.123"],
    "interval day to second(2)": ["3 days 04:05:06.78"],
    "timestamptz(0)": ["2026-11-22 10:00:00+00"],
}
