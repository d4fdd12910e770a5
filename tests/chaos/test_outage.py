"""A PostgreSQL server that is switched off in the middle of a search, and on again."""

import time
from pathlib import Path
from typing import Any

import pytest
from chaos.conftest import Aftermath, end_plan, start_plan
from chaos.postgres import own_server
from chaos.workshop import read_ledger
from processes import Process

pytestmark = pytest.mark.processes
TOTAL = 30


def wait_for_line(ledger: Path, process: Process, what: str, text: str) -> None:
    """Until the witness has seen such a line."""

    def seen(line: dict[str, Any]) -> bool:
        return line["what"] == what and text in line.get("text", "")

    while not (ledger.exists() and any(map(seen, read_ledger(ledger)))):
        assert process.poll() is None, (ledger.parent / "err").read_text()
        time.sleep(0.05)  # asks again


def test_workers_outlast_a_server_that_is_switched_off(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.jsonl"
    with own_server() as server:
        plan = {
            "plan": "many",
            "url": server.location.url,
            "ledger": str(ledger),
            "total": TOTAL,
            "workers": 2,
            "instant": False,
        }
        process = start_plan(tmp_path, plan)
        wait_for_line(ledger, process, "end", "")
        server.stop()
        wait_for_line(ledger, process, "notice", "the database does not answer")
        server.start()
        printed = end_plan(tmp_path, process)
        assert printed["codes"] == [0, 0], (tmp_path / "err").read_text()
        found = Aftermath(location=server.location, printed=printed, ledger=read_ledger(ledger))
        found.check(TOTAL)
        notices = [line["text"] for line in found.lines("notice")]
        assert any("the database is back" in text for text in notices)
