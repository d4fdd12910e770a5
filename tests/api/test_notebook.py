"""A notebook in a real kernel: bars, what is shown of a study, silence, and ^C."""

from typing import Any

import nbformat
import pytest
from fragments import Reading
from nbclient import NotebookClient

pytestmark = pytest.mark.processes

# A study of a tiny net, by the Python interface alone.
PLAN = """
import cvfp_opt as cv

plan = cv.define("quick", name="mine").set({
    "model.context_size": 8,
    "model.embedding_size": 6,
    "model.num_layers": 1,
    "training.num_iterations": 4,
    "training.minibatch_size": 16,
    "data.train_tokens": 64,
})
"""
SEARCH = 'study = cv.search(plan, n_trials=3, storage="studies.db")'
SILENT = 'cv.search(plan, n_trials="+1", storage="studies.db", progress=False).name'
# What the button of a notebook sends: the same as ^C.
INTERRUPTED = """
import os, signal, threading, time

def interrupt():
    while len([one for one in study.trials if one.record.finished]) < 5:
        time.sleep(0.1)
    os.kill(os.getpid(), signal.SIGINT)

threading.Thread(target=interrupt).start()
cv.search(plan, n_trials=500, storage="studies.db")
"""


@pytest.fixture(scope="module")
def notebook(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Any], list[Any]]:
    """The cells of a notebook that a kernel has run, and the widgets that are left."""
    folder = tmp_path_factory.mktemp("notebook")
    sources = [PLAN, SEARCH, "study", SILENT, INTERRUPTED, "study.counts"]
    notebook = nbformat.v4.new_notebook(cells=list(map(nbformat.v4.new_code_cell, sources)))
    places = {"metadata": {"path": str(folder)}}
    with pytest.MonkeyPatch.context() as patch:
        for name in (
            "IPYTHONDIR",
            "JUPYTER_CONFIG_DIR",
            "JUPYTER_DATA_DIR",
            "JUPYTER_RUNTIME_DIR",
        ):
            patch.setenv(name, str(folder / name.lower()))
        client = NotebookClient(notebook, timeout=300, allow_errors=True, resources=places)
        client.execute()
    [state] = notebook.metadata.widgets.values()
    return notebook.cells, [one["state"] for one in state["state"].values()]


def written(cell: Any, stream: str = "stdout") -> str:
    """What a cell wrote to stdout or stderr."""
    found = (one for one in cell.outputs if one.output_type == "stream")
    return "".join(one.text for one in found if one.name == stream)


def values(cell: Any) -> dict[str, str]:
    """What the value of a cell is shown as, by its kind."""
    [output] = [one for one in cell.outputs if one.output_type == "execute_result"]
    return dict(output.data)


def test_a_search_is_lines_and_one_bar(notebook: tuple[list[Any], list[Any]]) -> None:
    cells, widgets = notebook
    search = cells[1]
    lines = written(search).splitlines()
    assert lines[0].startswith("new study mine in sqlite:///studies.db: 3 trials in all, seed 0")
    assert [line for line in lines[1:] if not line.startswith(("text: ", "note: "))] in (
        [],
        [line for line in lines if line.startswith("kernels compiled in ")],
    )
    assert written(search, "stderr") == ""
    assert len([one for one in search.outputs if one.output_type == "display_data"]) == 1
    # tqdm's spaces are as wide as a figure
    labels = [str(one.get("value", "")).replace("\u2007", " ") for one in widgets]
    assert "study mine: 100%" in labels
    assert any("3/3" in one and "best 0." in one for one in labels)


def test_its_study_is_shown(notebook: tuple[list[Any], list[Any]]) -> None:
    shown = values(notebook[0][2])
    text = Reading(shown["text/html"]).text
    assert text.startswith("Study mine 3 of 3: 3 complete · sqlite:///studies.db")
    assert "layernorm_mix" in text
    line = "Study('mine', storage='sqlite:///studies.db'): 3 of 3: 3 complete, best 0."
    assert shown["text/plain"].startswith(line)


def test_without_progress_there_is_nothing_but_the_value(
    notebook: tuple[list[Any], list[Any]],
) -> None:
    [output] = notebook[0][3].outputs
    assert output.data == {"text/plain": "'mine'"}


def test_an_interrupt_gives_the_running_trials_back(
    notebook: tuple[list[Any], list[Any]],
) -> None:
    interrupted, again = notebook[0][4:]
    error = interrupted.outputs[-1]
    assert error.ename == "KeyboardInterrupt"
    assert error.evalue.startswith("stopped after ")
    assert written(interrupted).splitlines()[-1].startswith("stopping: giving the running trials")
    states = values(again)["text/plain"]
    assert "'running': 0" in states
    assert "'fail': 0" in states
