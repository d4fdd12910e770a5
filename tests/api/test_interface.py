"""The names of the interface: quick to import, whole, and a match for every command."""

import inspect
import subprocess
import sys

import click

import cvfp_opt as cv
from cvfp_opt.cli import cli

# What does in Python what a command does.
FUNCTIONS = {
    "run": "search",
    "submit": "submit",
    "worker list": "list_workers",
    "worker drain": "drain_worker",
    "worker stop": "stop_worker",
    "queue": "queue",
    "train": "train",
    "verify": "verify",
    "reproduce": "reproduce",
    "confirm": "Study.confirm",
    "thresholds": "thresholds",
    "status": "Study.to_dict",
    "best": "Study.best",
    "report": "Study.report",
    "plot": "Study.plot",
    "compare": "Study.compare",
    "list": "studies",
    "schema": "schema",
    "dashboard": "dashboard",
    "serve": "serve",
    "token add": "add_token",
    "token list": "tokens",
    "token revoke": "revoke_token",
    "events": "events",
    "notify test": "try_hooks",
    "notify list": "hooks",
    "notify send": "send_events",
    "study adopt": "adopt",
    "study pause": "Study.pause",
    "study resume": "Study.resume",
    "study cancel": "Study.cancel",
    "study set": "Study.set",
    "study list": "studies",
    "study show": "Study.to_dict",
    "study delete": "Study.delete",
    "study rename": "Study.rename",
    "study publish": "Trial.save",
    "study export": "Study.export",
    "study import": "import_study",
    "study copy": "Study.copy",
    "study merge": "merge",
    "study doctor": "doctor",
    "trial list": "Study.table",
    "trial show": "Study.trial",
    "trial replay": "Trial.replay",
    "trial enqueue": "Study.enqueue",
    "trial fail": "Trial.fail",
}


def commands(group: click.Group, prefix: str = "") -> list[str]:
    found = []
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            found += commands(command, f"{prefix}{name} ")
        else:
            found.append(f"{prefix}{name}")
    return found


def test_whatever_a_command_can_do_a_function_can_do() -> None:
    assert sorted(commands(cli)) == sorted(FUNCTIONS)
    for name in FUNCTIONS.values():
        found: object = cv
        for part in name.split("."):
            found = getattr(found, part)
        assert inspect.getdoc(found)


def test_each_public_name_is_there_and_explained() -> None:
    assert len(cv.__all__) == len(set(cv.__all__))
    for name in cv.__all__:
        found = getattr(cv, name)
        assert inspect.getdoc(found), name
        assert name in dir(cv)


def test_importing_is_quick_and_brings_no_torch() -> None:
    code = (
        "import sys; before = set(sys.modules); import cvfp_opt; "
        "print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", code],
        capture_output=True,
        text=True,
        check=True,
    )
    assert {name.partition(".")[0] for name in done.stdout.split()} <= {
        *sys.stdlib_module_names,
        "cvfp_opt",
    }
    [line] = [one for one in done.stderr.splitlines() if one.split("|")[-1].strip() == "cvfp_opt"]
    assert int(line.split("|")[1]) < 100_000  # microseconds, of 100 ms


def test_the_functions_stay_functions_whatever_is_imported() -> None:
    code = (
        "import cvfp_opt as cv; cv.define('quick').objective; import cvfp_opt.cli; "
        "from cvfp_opt.tuning import runner; cv.Workers, cv.Study, cv.train; "
        "print(callable(cv.search), callable(cv.studies), callable(cv.open))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True"] * 3
