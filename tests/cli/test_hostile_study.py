"""A study whose name, parameters and reasons are an attack, before every command that shows it.

Nothing but text reaches the terminal, and what is printed to be typed does what it says: the
printed commands are given to a real shell, where ``cvfp-opt`` only writes down its arguments.
"""

import io
import json
import re
import shutil
import sqlite3
import subprocess
import tomllib
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import optuna
import pytest
from rich.table import Table
from rich.text import Text
from support import Outcome

from cvfp_opt.api.display.console import PlainConsole

Invoke = Callable[..., Outcome]
EVIL = (
    "lr; touch PWNED #1\n[diversity]\nloss = 'notes:loss'\n"
    "\x1b[2J\x1b]0;owned\x07[bold red]x[/]\u202e $(touch PWNED) 'é"
)
FORMULA = "=cmd|' /C calc'!A0"
# all that is printed may hold of these
CONTROL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e\u2028]")


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of ours with one of theirs beside it, made once."""
    return tmp_path_factory.mktemp("elsewhere") / "evil.db"


@pytest.fixture
def evil(database: Path, run_tiny: Invoke, monkeypatch: pytest.MonkeyPatch) -> Path:
    if not database.exists():
        run_tiny("--n-trials", "2", "--storage", str(database), "--study-name", EVIL)
        storage = optuna.storages.RDBStorage(f"sqlite:///{database}")
        theirs = optuna.create_study(study_name=FORMULA, storage=storage)
        trial = theirs.ask({EVIL: optuna.distributions.CategoricalDistribution([EVIL])})
        theirs.tell(trial, 1.0)
        storage.engine.dispose()  # or a copy of the file would lack what was written last
    shutil.copy(database, "evil.db")
    monkeypatch.setenv("CVFP_OPT_STORAGE", "evil.db")
    return Path("evil.db")


def printed(outcome: Outcome) -> str:
    text = outcome.out + outcome.err
    assert not CONTROL.search(text), CONTROL.findall(text)
    assert "\nloss = 'notes" not in text, "a name made a line of its own"
    return text


def commands(text: str) -> list[str]:
    """What a text says to type."""
    found = re.findall(r": +(cvfp-opt .*)$|`(cvfp-opt [^`]*)`", text, re.MULTILINE)
    return [one or other for one, other in found]


def arguments(command: str) -> list[str]:
    """What a shell makes of a command."""
    Path("stub").mkdir(exist_ok=True)
    stub = Path("stub/cvfp-opt")
    stub.write_text("#!/bin/sh\nprintf '%s\\0' \"$@\"\n")
    stub.chmod(0o755)
    script = f"PATH=$PWD/stub:$PATH; {command}"
    found = subprocess.run(["bash", "-c", script], capture_output=True, check=True)
    assert not Path("PWNED").exists(), command
    return found.stdout.decode("utf-8", "surrogateescape").split("\0")[:-1]


@pytest.mark.parametrize(
    "words",
    [
        ("status", "--study-name", EVIL),
        ("best", "--study-name", EVIL),
        ("best", "--study-name", EVIL, "--combiners"),
        ("thresholds", EVIL),
        ("trial", "list", EVIL),
        ("trial", "list", FORMULA),
        ("trial", "list", FORMULA, "--csv"),
        ("trial", "list", FORMULA, "--json"),
        ("trial", "list", FORMULA, "--sort", EVIL),
        ("trial", "list", FORMULA, "--where", f"{EVIL}={EVIL}"),
        ("trial", "list", FORMULA, "--where", f"{EVIL}={EVIL}?"),
        ("trial", "list", EVIL, "--where", f"{EVIL}>1"),
        ("trial", "show", "0", "--study-name", EVIL),
        ("trial", "show", "0", "--study-name", FORMULA),
        ("trial", "fail", "0", "--study-name", EVIL),
        ("trial", "replay", "0", "--study-name", EVIL, "--threads", "1"),
        ("trial", "enqueue", "--study-name", EVIL, "--set", "dist_reg_weight=0.5"),
        ("study", "list"),
        ("study", "show", EVIL),
        ("study", "delete", EVIL),
        ("study", "rename", EVIL, f"{EVIL}2"),
        ("study", "export", EVIL, "-o", "x.zip"),
        ("study", "doctor"),
        ("compare", EVIL, EVIL),
        ("plot", "parallel", "--study-name", EVIL),
        ("report", EVIL, "-o", "r.html"),
        ("study", "publish", EVIL, "net", "--trial", "0"),
        ("status",),
        ("status", "--study-name", f"{EVIL}?"),
        ("run", "quick", "--study-name", EVIL, "--n-trials", "2"),
    ],
    ids=lambda words: "-".join(word for word in words if word.isascii() and word.isalnum()),
)
def test_no_command_prints_more_than_text(
    words: tuple[str, ...], evil: Path, invoke: Invoke
) -> None:
    text = printed(invoke(*words))
    assert text
    for command in commands(text):
        assert any(EVIL in one for one in arguments(command)) or EVIL[:4] not in command


def test_what_a_search_says_to_type_names_the_very_study(evil: Path, invoke: Invoke) -> None:
    text = printed(invoke("run", "--study-name", EVIL, "--n-trials", "2", "--threads", "1"))
    found = commands(text)
    assert len(found) == 5
    for command in found:
        assert EVIL in arguments(command)


def test_a_name_is_no_part_of_the_definition(evil: Path, invoke: Invoke) -> None:
    outcome = invoke("best", "--study-name", EVIL, "--toml")
    definition = tomllib.loads(outcome.out)
    assert definition["diversity"]["loss"] == "orthogonality"
    Path("winner.toml").write_text(outcome.out)
    assert invoke("run", "winner.toml", "--n-trials", "1", "--storage", "w.db").code == 0


@pytest.fixture
def evil_definition(evil: Path) -> Path:
    """The same, with a text that lies where another attack says, and code of its own."""
    with closing(sqlite3.connect(evil)) as connection, connection:
        key = "key = 'cvfp_opt:study'"
        [text] = connection.execute(
            f"SELECT value_json FROM study_user_attributes WHERE {key}"
        ).fetchone()
        record = json.loads(text)
        record["definition"]["data"]["path"] = f"{EVIL}\x85\u2028loss = 'notes:loss'"
        record["code"] = {EVIL: "f" * 64}
        connection.execute(
            f"UPDATE study_user_attributes SET value_json = ? WHERE {key}", [json.dumps(record)]
        )
    return evil


@pytest.mark.parametrize(
    "words",
    [
        ("best", "--toml", "--study-name", EVIL),
        ("study", "show", EVIL),
        ("trial", "replay", "0", "--study-name", EVIL),
        ("run", "--study-name", EVIL, "--n-trials", "3"),
        ("study", "publish", EVIL, "net", "--trial", "0"),
        ("trial", "enqueue", "--study-name", EVIL, "--from-study", EVIL),
    ],
    ids=lambda words: "-".join(word for word in words if word.isascii() and word.isalnum()),
)
def test_a_definition_makes_no_lines_either(
    words: tuple[str, ...], evil_definition: Path, invoke: Invoke
) -> None:
    outcome = invoke(*words)
    assert not re.search(r"^\s*loss = 'notes", printed(outcome), re.MULTILINE)
    assert outcome.err.count("\n") == outcome.code  # one line, or none
    if "--toml" in words:
        assert EVIL in tomllib.loads(outcome.out)["data"]["path"]


@pytest.mark.parametrize("words", [("report", "a", EVIL), ("plot", EVIL), ("best", f"--{EVIL}")])
def test_a_word_that_is_no_option_is_told_as_text(words: tuple[str, ...], invoke: Invoke) -> None:
    outcome = invoke(*words)
    assert outcome.code == 2
    printed(outcome)


def test_numbers_for_a_spreadsheet_hold_no_formula(evil: Path, invoke: Invoke) -> None:
    assert invoke("report", FORMULA, "-o", "r.html", "--data", "numbers").code == 0
    tables = sorted(Path("numbers").glob("*.csv"))
    assert tables
    for table in tables:
        assert not re.search(r"(^|,|\n)\"?[=@]", table.read_text()), table


def test_json_keeps_every_character(evil: Path, invoke: Invoke) -> None:
    out = invoke("status", "--study-name", EVIL, "--json").out
    assert json.loads(out)["study_name"] == EVIL
    assert not CONTROL.search(out)


def test_a_console_lets_only_its_own_escapes_through() -> None:
    console = PlainConsole(file=io.StringIO(), force_terminal=True, width=400)
    console.print(Text(EVIL, style="bold"))
    console.print(f"[red]{EVIL}", markup=False)
    table = Table(title=EVIL)
    table.add_column(EVIL)
    table.add_row(EVIL)
    console.print(table)
    assert isinstance(console.file, io.StringIO)
    left = re.sub("\x1b\\[[0-9;]*m", "", console.file.getvalue())
    assert not CONTROL.search(left)
    assert "\\x1b[2J" in left
    assert left.count("\n[diversity]") == 1, "a string made lines"
