"""Tables and lines hold what they should, and survive trials of every kind."""

import io

import pytest
from known_studies import small, three_objectives
from rich.console import Console

from cvfp_opt.report.best import best_lines
from cvfp_opt.report.status import status_lines
from cvfp_opt.report.tables import audit_table, best_table
from cvfp_opt.report.trial import trial_lines
from cvfp_opt.report.trial_rows import best_rows
from cvfp_opt.store.record.records import TrialRecord
from cvfp_opt.store.record.summary import Summary


def drawn(renderable: object, width: int = 120) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(renderable)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_tables_show_dashes_for_what_a_trial_lacks() -> None:
    bare = TrialRecord(number=3, state="complete", value=0.5, params={"x": 1.0})
    assert "0.500" in drawn(best_table([bare]))
    assert drawn(audit_table([bare])).splitlines()[-1].split() == ["3"] + ["-"] * 8
    summary = Summary(name="s", url="u", record=None, trials=[bare])
    assert best_lines(summary) == [
        "trial 3: value 0.5 (maximized)",
        "",
        "parameters",
        f"  {'x':<34}1",
    ]


def test_the_ranking_is_by_score_then_number() -> None:
    trials = [
        TrialRecord(number=n, state=state, value=value)
        for n, state, value in [
            (0, "complete", 0.5),
            (1, "pruned", 0.9),
            (2, "complete", 0.7),
            (3, "complete", 0.7),
            (4, "fail", None),
        ]
    ]
    summary = Summary(name="s", url="u", record=None, trials=trials)
    assert [t.number for t in summary.ranking] == [2, 3, 0]
    assert summary.counts["pruned"] == summary.counts["fail"] == 1


def test_the_use_of_contexts_is_shown_by_its_perplexity() -> None:
    summary = three_objectives()
    assert [trial.number for trial in summary.ranking] == [1, 2, 0]
    rows = best_rows(summary.ranking)
    place = rows.columns.index("perplexity")
    assert [row[place] for row in rows.rows] == [55.0, 47.25, 60.0]
    assert "47.2" in drawn(best_table(summary.ranking))
    lines = status_lines(summary)
    assert "three objectives; on the Pareto front: trials 1, 2, 0" in lines
    assert "best: trial 1 with score 0.9400, perplexity 55.0 (untrained score 0.490)" in lines
    shown = trial_lines(summary, summary.trials[2])
    assert shown[0] == "trial 2 of study known: complete, score 0.7500, perplexity 47.2"
    head = next(place for place, line in enumerate(shown) if line.startswith("downstream: "))
    assert [line.split() for line in shown[head : head + 3]] == [
        ["downstream:", "contexts", "beside", "embedding", "train", "held-out"],
        ["perplexity", "30.0", "47.2"],
        ["accuracy", "40.0%", "25.0%"],
    ]
    assert any(line.startswith("trial 1: score 0.9400, perpl") for line in best_lines(summary))
    assert "perplexity" not in best_rows(small().ranking).columns
    assert "downstream" not in "\n".join(trial_lines(small(), small().trials[1]))


def test_what_violates_a_constraint_ranks_last_and_says_why() -> None:
    against: tuple[dict[str, float], ...] = (
        {"threshold": 0.1, "fixed_point": 0.2, "near_zero": 0.0},
        {"threshold": -0.1},
        {"custom": 2.0},
        {},
    )
    trials = [
        TrialRecord(number=n, state="complete", value=0.9 - 0.1 * n, constraints=constraints)
        for n, constraints in enumerate(against)
    ]
    summary = Summary(name="s", url="u", record=None, trials=trials)
    assert [t.number for t in summary.ranking] == [1, 3, 0, 2]
    rows = best_rows(summary.ranking)
    words = [row[rows.columns.index("its audit says")] for row in rows.rows]
    assert words == ["-", "-", "rests on its threshold, no fixed point", "custom"]
    assert "its audit says" not in best_rows(summary.ranking[:2]).columns
    said = [trial_lines(summary, trial)[1] for trial in trials[:2]]
    assert said[0].startswith("cannot be the best while another can: rests on its threshold, ")
    assert not said[1].startswith("cannot")


def test_status_tells_why_trials_failed() -> None:
    trials = [TrialRecord(number=7, state="fail", status="error", reason="OSError: disk")]
    summary = Summary(name="s", url="u", record=None, trials=trials)
    assert "trial 7 failed (error): OSError: disk" in status_lines(summary)


@pytest.mark.parametrize("width", [60, 80, 100, 120])
def test_columns_without_room_are_named_and_no_figure_is_cut(width: int) -> None:
    study = small()
    for table in (best_table(study.ranking), audit_table(study.ranking)):
        shown = drawn(table, width)
        assert "…" not in shown
        assert all(len(line.rstrip()) <= width for line in shown.splitlines())
    shown = drawn(best_table(study.ranking), width)
    assert all(name in shown.splitlines()[1].split() for name in ("score", "convergence", "rank"))
    shown = drawn(best_table(study.ranking), 60)
    assert "no room for " in shown
    assert "0.940" in shown
    assert "no room for " not in drawn(audit_table(study.ranking), 120)
