"""The golden vectors satisfy proto/change_message.schema.json, and bodies that break its rules do not.

Usage: schema_test.py PROTO_FOLDER
"""

import copy
import json
import pathlib
import sys

from jsonschema import Draft202012Validator


def whole_bodies(folder):
    """Name and parsed body of each vector; the parts of a row are joined to one."""
    joined = ""
    for path in sorted((folder / "vectors").glob("*.json")):
        vector = json.loads(path.read_text(encoding="utf-8"))
        if "Sync-Part" in vector["headers"]:
            joined += vector["body"]
        else:
            yield vector["name"], json.loads(vector["body"])
    yield "big_row", json.loads(joined)


def broken(bodies):
    """Bodies that must be refused, each one change away from a vector."""

    def change(name, **members):
        body = copy.deepcopy(bodies[name])
        for member, value in members.items():
            if value is None:
                body.pop(member, None)
            else:
                body[member] = value
        return body

    for member in ("source", "schema", "table", "operation", "timestamp", "data"):
        yield change("insert", **{member: None})
    yield change("insert", operation="MERGE")
    yield change("insert", source="Not A Source")
    yield change("insert", timestamp="yesterday")
    yield change("insert", table="")
    yield change("insert", data=[])
    yield change("insert", data=[{"a": {"b": 1}}])
    yield change("insert", data=[{"a": [1]}])
    yield change("insert", keys=[{"id": 1}])
    yield change("insert", unchanged=["a"])
    yield change("delete", data=[{"id": 1}])
    yield change("delete", keys=None)
    yield change("truncate", keys=[{"id": 1}])
    yield change("progress", table="t")
    for member in ("schema", "table", "columns", "identity", "fingerprint"):
        yield change("relation", **{member: None})
    yield change("relation", columns=[])
    yield change("relation", columns=[{"name": "a", "type": "text"}])
    yield change("relation", identity="some")
    yield change("insert", fingerprint="x")
    yield change("group_of_transactions", transactions=[])
    yield change("group_of_transactions", transactions=bodies["group_of_transactions"]["transactions"][:1])
    for member in ("position", "xid", "timestamp", "hlc", "rows"):
        body = copy.deepcopy(bodies["group_of_transactions"])
        del body["transactions"][1][member]
        yield body


def main():
    folder = pathlib.Path(sys.argv[1])
    schema = json.loads((folder / "change_message.schema.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    bodies = dict(whole_bodies(folder))
    failures = [f"{name}: {error.message}" for name, body in bodies.items() for error in validator.iter_errors(body)]
    failures += [f"let through: {json.dumps(body)}" for body in broken(bodies) if validator.is_valid(body)]
    extended = dict(bodies["insert"], later={"anything": [1]})
    if not validator.is_valid(extended):
        failures.append("an unknown member is refused")
    print("\n".join(failures) or f"{len(bodies)} bodies satisfy the schema")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
