"""A winner trained again from its record: the same to the bit, or refused, or marked."""

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from support import TINY_ARGUMENTS, Outcome

from cvfp_opt.api.opening import open_summary
from cvfp_opt.errors import CheckpointError, CvfpOptError, DataError, StudyError
from cvfp_opt.report.best import require_best
from cvfp_opt.report.card import describe
from cvfp_opt.rerun.publish import Publication, plan_publication
from cvfp_opt.rerun.repeat import Conditions
from cvfp_opt.single.train import load_network
from cvfp_opt.store.database.location import resolve_location
from cvfp_opt.store.files.saved_networks import ACCOUNT, CARD, read_checkpoint
from cvfp_opt.store.record.records import TrialRecord
from cvfp_opt.store.record.summary import Summary
from cvfp_opt.training.events import ignore
from cvfp_opt.training.run import weights_digest

Invoke = Callable[..., Outcome]
FOLDER = Path("winner")


def taken(name: str | None = None) -> Summary:
    with open_summary(resolve_location(None), name) as summary:
        return summary


@pytest.fixture
def summary(run_tiny: Invoke) -> Summary:
    """Of a study with two trials."""
    run_tiny("--n-trials", "2", "--n-jobs", "1")
    return taken()


def plan(
    summary: Summary, trial: TrialRecord | None = None, **more: Any
) -> tuple[Publication, list[str]]:
    told: list[str] = []
    conditions = Conditions(**{k: more.pop(k) for k in ("data", "allow_code") if k in more})
    found = plan_publication(
        summary, trial or require_best(summary), FOLDER, conditions, told.append, **more
    )
    return found, told


def elsewhere(trial: TrialRecord) -> TrialRecord:
    """The trial as another machine would have recorded it."""
    versions = trial.environment["versions"] | {"torch": "1.0.0"}
    changed = {"versions": versions, "weights_digest": "f" * 64}
    return replace(trial, environment=trial.environment | changed)


def test_the_folder_holds_the_recorded_network_and_its_figures(summary: Summary) -> None:
    best = require_best(summary)
    publication, told = plan(summary)
    assert told == []
    assert publication.write(ignore, partial(describe, publication.summary))
    network, definition, checkpoint = load_network(FOLDER)
    assert weights_digest(network) == best.environment["weights_digest"]
    assert definition.space.searched == {}
    account, origin = checkpoint.account, checkpoint.account.origin
    assert account.result["iterations"] == best.iterations
    ours, theirs = (
        {k: v for k, v in audit.items() if k != "seconds"}
        for audit in (account.result["audit"], best.audit)
    )
    assert ours == theirs
    assert (origin["identical"], origin["differences"]) == (True, [])
    assert (origin["trial"], origin["uuid"]) == (best.number, best.identity["uuid"])
    assert origin["score"] == origin["recorded_score"] == best.value
    assert f"\n# A CVFP network: trial {best.number} of study quick\n" in checkpoint.card
    assert "Not identical" not in checkpoint.card
    assert best.environment["weights_digest"] in checkpoint.card


def test_a_trial_of_another_number_and_birth_is_the_one_asked_for(summary: Summary) -> None:
    for trial in summary.trials:
        folder = Path(f"trial-{trial.number}")
        publication = plan_publication(summary, trial, folder, None, print)
        assert publication.write(ignore, partial(describe, publication.summary))


def test_other_weights_are_refused_with_what_differs(summary: Summary) -> None:
    publication, told = plan(summary, elsewhere(require_best(summary)))
    [line] = told
    assert line.startswith("numbers may differ: torch 2.")
    assert line.endswith(" (was 1.0.0)")
    with pytest.raises(
        StudyError, match=r"other weights \(torch 2\..* \(was 1\.0\.0\)\)"
    ) as error:
        publication.write(ignore, partial(describe, publication.summary))
    assert "Nothing was written" in str(error.value)
    assert "study publish --trial 0 --allow-drift quick winner`" in str(error.value)
    assert not FOLDER.exists()


def test_allowed_they_are_marked_for_all_to_see(summary: Summary) -> None:
    publication, _ = plan(summary, elsewhere(require_best(summary)), allow_drift=True)
    assert not publication.write(ignore, partial(describe, publication.summary))
    checkpoint = read_checkpoint(FOLDER)
    _, below = checkpoint.card.split("\n# A CVFP network: ")
    assert below.splitlines()[2].startswith("> **Not identical.**")
    origin = checkpoint.account.origin
    assert origin["identical"] is False
    assert origin["recorded_weights_digest"] == "f" * 64
    [difference] = origin["differences"]
    assert (difference["key"], difference["then"]) == ("versions.torch", "1.0.0")


def test_a_record_without_a_digest_cannot_be_compared_with(summary: Summary) -> None:
    best = require_best(summary)
    environment = {k: v for k, v in best.environment.items() if k != "weights_digest"}
    publication, _ = plan(summary, replace(best, environment=environment))
    with pytest.raises(StudyError, match="no digest of weights to compare with"):
        publication.write(ignore, partial(describe, publication.summary))


def test_another_text_is_another_trial_whatever_is_allowed(summary: Summary) -> None:
    Path("other.txt").write_text("a b c d e f g h " * 60)
    with pytest.raises(StudyError, match=r"trained with another text: its tokens have the digest"):
        plan(summary, data="other.txt", allow_drift=True)


def test_a_text_that_moved_is_named(invoke: Invoke) -> None:
    text = Path("text.txt")
    text.write_text("a b c d e f g h " * 60)
    words = ["--data", "text.txt", "--n-trials", "1", "--threads", "1"]
    assert invoke("run", "quick", *TINY_ARGUMENTS, *words).code == 0
    text.rename("moved.txt")
    with pytest.raises(DataError, match="if the text lies elsewhere now, add --data PATH"):
        plan(taken())
    publication, _ = plan(taken(), data="moved.txt")
    assert publication.write(ignore, partial(describe, publication.summary))
    assert "moved.txt" not in (FOLDER / CARD).read_text()


def test_what_is_no_finished_network_is_refused(summary: Summary) -> None:
    best = require_best(summary)
    for state in ("pruned", "fail", "running", "waiting"):
        with pytest.raises(StudyError, match="a complete trial is required"):
            plan(summary, replace(best, state=state))
    with pytest.raises(StudyError, match="can't be trained again: made by another program"):
        plan(replace(summary, record=None))
    FOLDER.mkdir()
    with pytest.raises(CheckpointError, match="exists already"):
        plan(summary)


def test_code_that_only_the_database_names_is_not_run(summary: Summary, tmp_path: Path) -> None:
    assert summary.record is not None
    (tmp_path / "theirs.py").write_text("raise SystemExit('this was run')")
    definition = json.loads(json.dumps(summary.record.definition))
    definition["diversity"]["loss"] = "theirs:loss"
    hostile = replace(summary, record=replace(summary.record, definition=definition))
    with pytest.raises(CvfpOptError, match="add --allow-code"):
        plan(hostile)


def test_the_account_is_plain_json(summary: Summary) -> None:
    plan(summary)[0].write(ignore, partial(describe, summary))
    assert json.loads((FOLDER / ACCOUNT).read_text())["format"] == 3
