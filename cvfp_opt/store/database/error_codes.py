"""Error codes of databases: which refusals may pass by themselves. Words depend on a language.

PostgreSQL has SQLSTATE, MySQL and MariaDB have numbers. SQLite's words are always the same.
"""

import os
import re
import select
import time
from contextlib import suppress
from typing import Any

# Classes of SQLSTATE: a connection that broke (08), a transaction that a failover made read-only
# (25), deadlocks (40), no resources, too many connections (53), a lock that is kept (55), a
# server that starts, stops or ends us (57), its disk (58).
_PASSING_CLASSES = frozenset({"08", "25", "40", "53", "55", "57", "58"})
_DROPPED = "57P04"

# 1020 changed since it was read; 1021 disk full; 1037, 1038, 1041 no memory; 1040, 1203, 1226 too
# many connections; 1042, 1043 no handshake; 1047 the node of a cluster is not ready; 1053, 1077,
# 1079, 1080 shutdown; 1152 to 1161 the connection broke; 1205, 1206, 1213, 3572 locks; 1290,
# 1792, 1836 read-only for now; 1317, 1969, 3024 interrupted; 1637 too many transactions; 1927,
# 3169, 4031 the connection was ended; 2002 to 2055 the driver's own: no server, or lost.
_PASSING_NUMBERS = frozenset(
    {0, 1020, 1021, 1037, 1038, 1040, 1041, 1042, 1043, 1047, 1053, 1077, 1079, 1080, 1203, 1205}
    | {1206, 1213, 1226, 1290, 1317, 1637, 1792, 1836, 1927, 1969, 3024, 3169, 3572, 4031}
    | {*range(1152, 1162), 2002, 2003, 2006, 2013, 2014, 2055}
)

# SQLite's driver has one class for all that goes wrong; errors with these words pass.
_SQLITE_PASSES = ("locked", "busy", "disk is full", "disk i/o error")

# A server is asked so long why it refused a connection.
_ASKING_SECONDS = 5.0
_REFUSED = re.compile(rb'ErrorResponse\b.*? C "(\w{5})"')


def refusal_passes(error: BaseException) -> bool | None:
    """Check if a driver's error may pass, all else the same; None if its code does not say."""
    if _module(error) == "sqlite3":
        return any(word in str(error).lower() for word in _SQLITE_PASSES)
    code = refusal_code(error)
    if code is None:
        return None
    if code.isdecimal() and len(code) < 5:
        return int(code) in _PASSING_NUMBERS
    return code[:2] in _PASSING_CLASSES and code != _DROPPED


def refusal_code(error: BaseException | None) -> str | None:
    """Read a server's code of an error: SQLSTATE, or MySQL's number; None if it gave none."""
    if _module(error) == "pymysql":
        number = error.args[0] if error is not None and error.args else None
        return str(number) if isinstance(number, int) else None
    return None if error is None else sqlstate(error)


def _module(error: object) -> str:
    return type(error).__module__.partition(".")[0]


def sqlstate(error: BaseException) -> str | None:
    """Read PostgreSQL's code of a psycopg error; None if the server gave none.

    Of a connection that is refused libpq keeps the words alone. So it is asked for one once more,
    with its messages traced.
    """
    code: str | None = getattr(error, "sqlstate", None)
    failed = getattr(error, "pgconn", None)
    if code is None and failed is not None and getattr(failed, "backend_pid", 1) == 0:
        with suppress(Exception):  # no Linux, an old libpq: then there is no code
            code = _ask_why(failed)
            error.sqlstate = code  # type: ignore[attr-defined]
    return code


def _ask_why(failed: Any) -> str | None:
    from psycopg import conninfo, pq

    given = {o.keyword.decode(): o.val.decode() for o in failed.info if o.val is not None}
    connection = pq.PGconn.connect_start(conninfo.make_conninfo("", **given).encode())
    trace = os.memfd_create("refusal")  # in memory: a password may be in it
    try:
        if connection.status != pq.ConnStatus.BAD:
            connection.trace(trace)
            _finish(connection)
            connection.untrace()
        size = os.fstat(trace).st_size
        found = _REFUSED.search(os.pread(trace, size, 0))
    finally:
        connection.finish()
        os.close(trace)
    return found[1].decode() if found else None


def _finish(connection: Any) -> None:
    from psycopg.pq import PollingStatus

    end = time.monotonic() + _ASKING_SECONDS
    while (left := end - time.monotonic()) > 0:
        status = connection.connect_poll()
        if status not in (PollingStatus.READING, PollingStatus.WRITING):
            break
        reading = status == PollingStatus.READING
        socket = [connection.socket]
        select.select(socket if reading else [], [] if reading else socket, [], left)
