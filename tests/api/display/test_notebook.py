"""What a notebook shows of a search and of a training run, and that scripts show nothing."""

import sys
from types import SimpleNamespace
from typing import Any

import pytest
from known_studies import small
from support import TINY

from cvfp_opt.api.display import choose, notebook
from cvfp_opt.api.display.notebook import NotebookDisplay, NotebookTraining, make_bar
from cvfp_opt.api.display.protocol import SearchDisplay
from cvfp_opt.api.display.silent import SilentDisplay, SilentTraining
from cvfp_opt.store.database.location import Location
from cvfp_opt.store.record.progress import StudyProgress
from cvfp_opt.store.record.records import TrialRecord
from cvfp_opt.training.events import IterationTrained, Phase, Progress
from cvfp_opt.training.result import IterationMetrics
from cvfp_opt.tuning.definition import StudyDefinition
from cvfp_opt.tuning.definition_file import read_sections, resolve_definition

EVIL = "<img src=x onerror=alert(1)>\x1b[2J"
Captured = pytest.CaptureFixture[str]


@pytest.fixture
def definition() -> StudyDefinition:
    return resolve_definition(read_sections("quick"), TINY, where="quick")


@pytest.fixture
def text_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    """No ipywidgets, and every change is drawn."""
    monkeypatch.setattr(notebook, "find_spec", lambda name: None)
    monkeypatch.setattr(notebook, "INTERVAL", 0.0)


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a kernel of Jupyter's."""
    shell = SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))


def bars(err: str) -> list[str]:
    """All that a bar of text has shown."""
    return [one.strip() for one in err.replace("\n", "\r").split("\r") if one.strip()]


def act(display: SearchDisplay, plan: Any) -> None:
    """A search of ten trials, two of which were there: one beats the rest, one fails."""
    environment: Any = {"device": "cpu", "threads": 1}
    best = small().trials[1]
    display.header(plan, Location("sqlite:///studies.db"), environment, done=2)
    with display:
        display.workers_changed(2)
        display.notice(f"worker {EVIL}")
        display.trial_started(2, {"dist_reg_weight": 0.5})
        display.trial_event(2, Progress(iteration=2, phase=Phase.PASS, done=1, total=1))
        display.trial_started(3, {})
        display.trial_dropped(3)
        done = TrialRecord(number=2, state="complete", status="finished", value=0.5)
        display.trial_finished(done, StudyProgress(finished=3, best=best))
        display.trial_started(4, {})
        failed = TrialRecord(number=4, state="fail", status="error", reason=EVIL)
        display.trial_finished(failed, StudyProgress(finished=4, best=best))
        display.stopping()


@pytest.fixture
def plan(definition: StudyDefinition) -> Any:
    tokens = SimpleNamespace(notice="")
    return SimpleNamespace(name="mine", definition=definition, tokens=tokens, notes=())


def test_a_search_is_one_bar_with_the_best_so_far(
    text_bars: None, definition: StudyDefinition, plan: Any, capsys: Captured
) -> None:
    act(NotebookDisplay(definition, 10), plan)
    shown = bars(capsys.readouterr().err)
    assert shown[0].startswith("20%")
    assert any("study mine:  20%" in one and "trial 2 at 2.5/4" in one for one in shown)
    assert "study mine:  40%" in shown[-1]
    assert "4/10" in shown[-1]
    assert shown[-1].endswith(", best 0.940 (untrained 0.490)]")


def test_what_is_noteworthy_is_a_line(
    text_bars: None, definition: StudyDefinition, plan: Any, capsys: Captured
) -> None:
    act(NotebookDisplay(definition, 10), plan)
    lines = capsys.readouterr().out.splitlines()
    plain = EVIL.replace("\x1b", "\\x1b")
    assert lines[0] == (
        "going on with study mine in sqlite:///studies.db: 10 trials in all, seed 0, "
        "cpu with 1 thread"
    )
    assert f"worker {plain}" in lines
    assert f"trial 4 error: {plain}" in lines
    assert lines[-1].startswith("stopping: ")


def test_a_script_shows_nothing(definition: StudyDefinition, plan: Any, capsys: Captured) -> None:
    act(SilentDisplay(definition, 10), plan)
    assert capsys.readouterr() == ("", "")


def test_a_widget_never_has_a_name_as_html(monkeypatch: pytest.MonkeyPatch) -> None:
    bar_class = notebook.bar_class()
    assert bar_class.__module__ == "tqdm.notebook"
    given = []
    make = bar_class.status_printer

    def spy(file: Any, total: Any, desc: str | None, ncols: Any) -> Any:
        given.append(desc)
        return make(file, total, desc, ncols)

    monkeypatch.setattr(bar_class, "status_printer", staticmethod(spy))
    monkeypatch.setattr("tqdm.notebook.display", lambda container: None)
    bar = make_bar(EVIL, 10, unit="trial")
    label = bar.container.children[0].value
    bar.close()
    assert not any(given)
    assert "&lt;img" in label
    assert not {"<", "\x1b"} & set(label)


def metrics(iteration: int) -> IterationMetrics:
    rates: Any = {"convergence_rate": 0.5, "effective_rank": 0.25, "score": 0.375}
    validation: Any = {f"validation_{name}": value for name, value in rates.items()}
    return IterationMetrics(iteration=iteration, residual=None, **rates, **validation)


def train(view: Any, definition: StudyDefinition) -> None:
    with view.show(definition) as shown:
        shown.notice(EVIL)
        shown.observe(Progress(iteration=0, phase=Phase.TRAINING, done=1, total=1))
        shown.observe(IterationTrained(metrics=metrics(0)))


def test_a_training_run_is_a_table_above_a_bar(
    text_bars: None, definition: StudyDefinition, capsys: Captured
) -> None:
    train(NotebookTraining(), definition)
    shown = capsys.readouterr()
    *_, heads, notice, row = shown.out.splitlines()
    assert (notice, heads.split()[:2], row.split()[:2]) == (
        EVIL.replace("\x1b", "\\x1b"),
        ["pass", "weight"],
        ["1", "-"],
    )
    assert any("1.0/4" in one and "training" in one for one in bars(shown.err))
    assert bars(shown.err)[-1].startswith("passes: 100%")
    assert "\x1b[2J" not in shown.out


def test_silent_training_shows_nothing(definition: StudyDefinition, capsys: Captured) -> None:
    train(SilentTraining(), definition)
    SilentTraining().notify("compiling")
    assert capsys.readouterr() == ("", "")


# where


def modules(progress: bool | None) -> tuple[str, str]:
    """Where the two views come from."""
    search = choose.search_view(progress).make
    training = choose.training_view(progress)
    made = getattr(search, "func", search)
    return made.__module__.rpartition(".")[2], type(training).__module__.rpartition(".")[2]


@pytest.mark.parametrize(
    ("progress", "expected"), [(None, "silent"), (False, "silent"), (True, "console")]
)
def test_a_script_is_silent_unless_it_asks(progress: bool | None, expected: str) -> None:
    names = {"silent": ("silent", "silent"), "console": ("search", "training")}
    assert modules(progress) == names[expected]


@pytest.mark.parametrize(
    ("progress", "expected"), [(None, "notebook"), (True, "notebook"), (False, "silent")]
)
def test_a_kernel_has_bars(kernel: None, progress: bool | None, expected: str) -> None:
    assert modules(progress) == (expected, expected)


def test_a_terminal_has_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert modules(None) == ("search", "training")
    assert modules(False) == ("silent", "silent")


@pytest.mark.parametrize(
    "module",
    [
        None,
        SimpleNamespace(),
        SimpleNamespace(get_ipython=lambda: None),
        SimpleNamespace(get_ipython=object),
    ],
)
def test_ipython_in_a_terminal_is_no_notebook(
    module: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "IPython", module)
    assert not choose.in_notebook()
