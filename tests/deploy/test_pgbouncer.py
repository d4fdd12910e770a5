"""Workers that stay, behind a PgBouncer in transaction mode with few connections."""

import os
import pwd
import shutil
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy
from databases import fresh_database
from deploy.programs import FILES, free_port, program, running
from optuna.trial import TrialState
from support import TINY_ARGUMENTS, Outcome, Start

from cvfp_opt.store.database.location import Location, resolve_location
from cvfp_opt.store.database.storage import open_for_reading
from cvfp_opt.store.queue.workers import read_workers
from cvfp_opt.store.record.studies import load_study

pytestmark = pytest.mark.processes

Invoke = Callable[..., Outcome]


@contextmanager
def pooled(folder: Path, location: Location, size: int) -> Iterator[Location]:
    """The database behind a pooler with our file, and so many connections to the server."""
    there = sqlalchemy.make_url(location.url)
    port = free_port()
    text = (FILES / "pgbouncer.ini").read_text()
    text = text.replace(
        "studies = host=db.example port=5432 dbname=studies",
        f"{there.database} = host={there.host} port={there.port or 5432} user={there.username}",
    )
    text = text.replace("listen_addr = 0.0.0.0", "listen_addr = 127.0.0.1\nunix_socket_dir =")
    text = text.replace("listen_port = 6432", f"listen_port = {port}")
    text = text.replace("auth_type = scram-sha-256", "auth_type = any")
    text = text.replace("default_pool_size = 20", f"default_pool_size = {size}")
    text = text.replace("auth_file = /etc/pgbouncer/userlist.txt\n", "")
    (folder / "pgbouncer.ini").write_text(text)
    if os.geteuid() == 0:  # it refuses to run as root
        for parent in (folder, *folder.parents[:-2]):
            parent.chmod(parent.stat().st_mode | 0o011)
        shutil.chown(folder / "pgbouncer.ini", pwd.getpwnam("nobody").pw_uid)

    def listens() -> bool:
        with socket.socket() as other:
            return other.connect_ex(("127.0.0.1", port)) == 0

    words = (program("pgbouncer"), "pgbouncer.ini")
    with running(*words, cwd=folder, ready=listens, user="nobody"):
        behind = there.set(host="127.0.0.1", port=port)
        yield resolve_location(behind.render_as_string(hide_password=False))


def test_workers_that_stay_share_a_few_connections(
    invoke: Invoke, start: Start, tmp_path: Path
) -> None:
    folder = tmp_path / "pool"
    folder.mkdir()
    with (
        fresh_database("postgresql") as location,
        pooled(folder, location, 3) as behind,
    ):
        storage = ("--storage", behind.url)
        for name, total in (("one", "8"), ("two", "8")):
            words = ("submit", "quick", *TINY_ARGUMENTS, "--n-trials", total)
            outcome = invoke(*words, "--study-name", name, *storage)
            assert outcome.code == 0, outcome.err
        words = ("worker", "--until-idle", "--n-jobs", "1", "--threads", "1", *storage)
        workers = [start(*words, cwd=tmp_path) for _ in range(4)]
        for worker in workers:
            out, _ = worker.communicate(180)
            assert worker.returncode == 0, out
            assert "Traceback" not in out
        with open_for_reading(behind) as store:
            for name in ("one", "two"):
                trials = load_study(store, name).trials
                assert [trial.number for trial in trials] == list(range(8))
                assert Counter(trial.state for trial in trials) == {TrialState.COMPLETE: 8}
            assert read_workers(store) == []
    log = (folder / "pgbouncer.log").read_text()
    assert "ERROR" not in log
