"""Damages a study database at random: bytes, cells, tables, and words of other programs."""

import json
import random
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

# Values for a cell, whatever its column is for.
CELLS: tuple[Any, ...] = (
    *(None, "", "x", b"\xff\xfe", 2**62, -1, 1.5, float("inf"), "null", "[]", "{}", '"x"'),
    *("1e999", "NaN", "[" * 3000 + "]" * 3000, "{", "\x00", "RUNNING", "COMPLETE", "WAITING"),
    *("FAIL", "é" * 1000, '{"uuid": 5}', '{"format": "x"}', "true"),
)
# JSON texts for an attribute.
TEXTS = (
    *("null", "3", "-1", "0.5", "true", "[]", "[1, 2]", "{}", '{"a": null}', '""', '"x"', "NaN"),
    *("Infinity", "-Infinity", "1e400", "9" * 400, '["x", "y"]', '{"body": ["x"]}', '"\\ud800"'),
    *('{"uuid": 5}', '{"low": 1}', '[{"a": {}}]', "{", "", json.dumps("x" * 100_000)),
    *("[" * 1500 + "]" * 1500, '{"a":' * 1500 + "1" + "}" * 1500),
)
# Values in the place of a part of an attribute.
PARTS: tuple[Any, ...] = (
    *(None, "x", -1, 10**30, 10**400, 1e308, float("nan"), float("inf"), [], {}, [[]], True, ""),
    *({"a": None}, ["x"], "\ud800", {"low": 2, "high": 1}),
)
# Tables of attributes, and keys that are read in each.
KEYS = {
    "study_user_attributes": (
        *("cvfp_opt:study", "cvfp_opt:mirror_of", "cvfp_opt:mirrored", "cvfp_opt:confirms"),
        *("cvfp_opt:arms", "cvfp_opt:drift", "author"),
    ),
    "study_system_attributes": (
        *("cvfp_opt:page", "study:metric_names", "dashboard:note_ver", "dashboard:note_str:0"),
        *("dashboard:note_str:x", "dashboard:1:note_ver", "dashboard:1:note_str:0"),
        *("artifacts:abc", "dashboard:plot_data:history:0", "preference"),
    ),
    "trial_user_attributes": (
        *("status", "reason", "scored", "metrics", "iterations", "audit", "seconds"),
        *("environment", "source_trial", "score", "author"),
    ),
    "trial_system_attributes": (
        *("cvfp_opt:birth", "cvfp_opt:arm", "cvfp_opt:lease", "fixed_params", "artifacts:abc"),
        *("artifacts:../x", "constraints", "constraints:a"),
    ),
}


def damage_bytes(path: Path, chance: random.Random) -> str:
    """As a bad disk does it, or a copy that was cut off."""
    content = bytearray(path.read_bytes())
    how = chance.choice(["flip", "flip", "zero", "cut", "header"])
    if how == "flip":
        for _ in range(chance.choice([1, 10, 100])):
            content[chance.randrange(100, len(content))] = chance.randrange(256)
    elif how == "zero":
        start = chance.randrange(0, len(content) // 4096) * 4096
        content[start : start + 4096] = bytes(4096)
    elif how == "cut":
        del content[chance.randrange(len(content)) :]
    else:
        content[chance.randrange(16, 100)] = chance.randrange(256)
    path.write_bytes(content)
    return how


def damage_cells(path: Path, chance: random.Random) -> str:
    """As a program does it that does not know what a column is for."""
    done = []
    with closing(_open(path)) as connection:
        tables = [row[0] for row in connection.execute(_TABLES)]
        for _ in range(chance.choice([1, 1, 2, 5])):
            table = chance.choice(tables)
            columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            rows = [row[0] for row in connection.execute(f"SELECT rowid FROM {table}")]
            if not rows:
                continue
            column, row, value = chance.choice(columns), chance.choice(rows), chance.choice(CELLS)
            done.append(f"{table}.{column} = {value!r:.40}")
            with suppress(sqlite3.Error):
                change = f"UPDATE {table} SET {column} = ? WHERE rowid = ?"
                connection.execute(change, (value, row))
    return "; ".join(done)


def damage_attributes(path: Path, chance: random.Random) -> str:
    """As another program does it that uses our words, or changes a part of what we wrote."""
    done = []
    with closing(_open(path)) as connection:
        for _ in range(chance.choice([1, 1, 2])):
            table = chance.choice(list(KEYS))
            column = f"{table.partition('_')[0]}_id"
            owners = [r[0] for r in connection.execute(f"SELECT {column} FROM {_plural(column)}")]
            owner, key = chance.choice(owners), chance.choice(KEYS[table])
            same = f"FROM {table} WHERE {column} = ? AND key = ?"
            found = connection.execute(f"SELECT value_json {same}", (owner, key)).fetchone()
            text = chance.choice(TEXTS)
            if found is not None and chance.random() < 0.7:
                with suppress(ValueError, RecursionError):  # damaged a second time
                    text = json.dumps(_changed(json.loads(found[0]), chance))
            done.append(f"{table} {owner} {key} = {text:.60}")
            connection.execute(f"DELETE {same}", (owner, key))
            insert = f"INSERT INTO {table} ({column}, key, value_json) VALUES (?, ?, ?)"
            connection.execute(insert, (owner, key, text))
    return "; ".join(done)


def damage_schema(path: Path, chance: random.Random) -> str:
    """As a person does it who tidies up."""
    with closing(_open(path)) as connection:
        table = chance.choice([row[0] for row in connection.execute(_TABLES)])
        columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
        how, column = chance.choice(list(_SCHEMA)), chance.choice(columns)
        for statement in _SCHEMA[how].format(table=table, column=column).split(";"):
            with suppress(sqlite3.Error):
                connection.execute(statement)
    return f"{how} {table}.{column}"


KINDS: dict[str, Callable[[Path, random.Random], str]] = {
    "bytes": damage_bytes,
    "cells": damage_cells,
    "attributes": damage_attributes,
    "schema": damage_schema,
}

_TABLES = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
_SCHEMA = {
    "drop": "DROP TABLE {table}",
    "view": "ALTER TABLE {table} RENAME TO old_{table};"
    "CREATE VIEW {table} AS SELECT * FROM old_{table}",
    "column": "ALTER TABLE {table} RENAME COLUMN {column} TO zz",
    "rename": "ALTER TABLE {table} RENAME TO zz_{table}",
    "no keys": "ALTER TABLE {table} RENAME TO old_{table};"
    "CREATE TABLE {table} AS SELECT * FROM old_{table}",
    "empty": "DELETE FROM {table}",
    "trigger": "CREATE TRIGGER no BEFORE INSERT ON {table} BEGIN SELECT raise(abort, 'no') END",
}


def _open(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA foreign_keys = OFF")
    return connection


def _plural(column: str) -> str:
    return "studies" if column == "study_id" else "trials"


def _changed(value: Any, chance: random.Random) -> Any:
    """The same with one part, however deep, in the place of which something else stands."""
    places: list[tuple[Any, ...]] = []

    def walk(inner: Any, place: tuple[Any, ...]) -> None:
        places.append(place)
        if isinstance(inner, dict | list):
            pairs = inner.items() if isinstance(inner, dict) else enumerate(inner)
            for key, one in pairs:
                walk(one, (*place, key))

    walk(value, ())
    place, odd = chance.choice(places), chance.choice(PARTS)
    if not place:
        return odd
    within = value
    for key in place[:-1]:
        within = within[key]
    if isinstance(within, dict) and chance.random() < 0.2:
        del within[place[-1]]
    else:
        within[place[-1]] = odd
    return value
