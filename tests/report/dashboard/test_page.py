"""Notes and figures on a study's page."""

import json
from dataclasses import asdict
from typing import Any

import known_studies
import optuna
import pytest
from known_studies import EVIL, complete
from optuna.trial import TrialState
from optuna_dashboard import get_note, save_note
from optuna_dashboard._custom_plot_data import get_plotly_graph_objects
from optuna_dashboard._note import get_note_from_system_attrs
from serving import NAME, Site

from cvfp_opt.escaping import markdown
from cvfp_opt.report.dashboard import trial_notes
from cvfp_opt.report.dashboard.notes import BORDER
from cvfp_opt.report.dashboard.page import (
    MAX_FIGURE,
    keep_current,
    refresh,
    write_missing_curves,
)
from cvfp_opt.store.database.storage import open_for_search
from cvfp_opt.store.files.trial_files import picture_id
from cvfp_opt.store.queue.confirmation_runs import add_runs, enter_confirmation
from cvfp_opt.store.record.confirmation import DEFAULT, ConfirmationPoint
from cvfp_opt.store.record.mirrors import sync_mirrors
from cvfp_opt.store.record.records import (
    CONFIRMATION_RUN,
    CONFIRMS,
    StudyRecord,
    TrialRecord,
)
from cvfp_opt.store.record.retries import uuid_of
from cvfp_opt.store.record.study_page import PAGE


def system_attributes(study: optuna.Study) -> dict[str, Any]:
    return study._storage.get_study_system_attrs(study._study_id)


def load(site: Site, name: str) -> optuna.Study:
    return optuna.load_study(study_name=name, storage=site.store.storage)


def test_the_note_says_what_how_and_whether_to_believe_it(site: Site) -> None:
    refresh(site.store, site.study, print)
    note = get_note(site.study)
    assert "Trial 1 scores 0\\.940, better than the untrained net" in note
    assert "3 complete, 1 pruned, 1 fail" in note
    assert "cvfp-opt run --study-name 'known </script>" in note
    assert "' --storage storage/cvfp.db --n-trials +10" in note
    for word in ("## Data and protocol", 'loss = "orthogonality"', "d" * 64, "e" * 64):
        assert word in note
    for suffix in ("pareto", "pareto-audited"):
        mirror = load(site, f"{NAME}/{suffix}")
        assert f"(/dashboard/studies/{mirror._study_id})" in note
        assert "(/dashboard/studies/1)" in get_note(mirror)


def test_nothing_of_a_study_is_html_in_its_note(site: Site) -> None:
    refresh(site.store, site.study, print)
    fenced = False
    for line in get_note(site.study).splitlines():
        fenced ^= line.startswith("```")
        assert fenced or "<" not in line
    assert "<" not in get_note(load(site, f"{NAME}/pareto"))


def test_the_users_own_words_stay(site: Site) -> None:
    save_note(site.study, "mine, from before")
    refresh(site.store, site.study, print)
    first = get_note(site.study)
    assert first.endswith(f"{BORDER}\n\nmine, from before")
    save_note(site.study, f"{first}, and after")
    site.study.add_trial(complete(0.5, 0.99, 0.99))
    refresh(site.store, site.study, print)
    second = get_note(site.study)
    assert second.endswith(f"{BORDER}\n\nmine, from before, and after")
    assert second.count(BORDER) == 1
    assert "4 complete" in second


def test_what_has_not_changed_is_not_written_again(site: Site) -> None:
    refresh(site.store, site.study, print)
    before = system_attributes(site.study)
    refresh(site.store, site.study, print)
    after = system_attributes(site.study)
    assert {key for key in before | after if before.get(key) != after.get(key)} <= {PAGE}


def test_the_figures_are_drawn_and_short(site: Site) -> None:
    said: list[str] = []
    refresh(site.store, site.study, said.append)
    figures = get_plotly_graph_objects(system_attributes(site.study))
    assert set(figures) == {
        "score-and-untrained-net",
        "convergence-against-threshold",
        "trade-off",
        "passes-and-schedules",
    }
    assert "untrained net" in figures["score-and-untrained-net"]
    assert said == []
    site.study.add_trials([complete(i / 400, 0.5, i / 400) for i in range(400)])
    refresh(site.store, site.study, said.append)
    figures = get_plotly_graph_objects(system_attributes(site.study))
    assert max(map(len, figures.values())) < MAX_FIGURE
    assert said == []


def title_of(figure: str) -> str:
    return str(json.loads(figure)["layout"]["title"]["text"])


def test_each_figure_has_its_title(site: Site) -> None:
    refresh(site.store, site.study, print)
    figures = get_plotly_graph_objects(system_attributes(site.study))
    assert {name: title_of(text) for name, text in figures.items()} == {
        "score-and-untrained-net": "<b>Score of each trial</b>",
        "convergence-against-threshold": "<b>Convergence at any threshold</b>",
        "trade-off": "<b>The trade-off</b>",
        "passes-and-schedules": "<b>From pass to pass</b>",
    }


def test_a_mirror_says_which_trial_is_which(site: Site) -> None:
    refresh(site.store, site.study, print)
    front = load(site, f"{NAME}/pareto")
    numbers = {trial.number: trial.user_attrs["source_trial"] for trial in front.trials}
    assert numbers == {0: 0, 1: 1, 2: 3}  # the pruned one is not there
    note = get_note(front)
    assert "| trial there | number here | score | convergence rate | effective rank |" in note
    first = "| 1 | 1 | 0\\.940 | 98\\.0% | 90\\.0% |"
    assert note.index(first) < note.index("| 0 | 0 | 0\\.575 | 20\\.0% | 95\\.0% |")
    assert "| 3 | 2 |" not in note  # another trial beats it in both
    attributes = system_attributes(front)
    last = front.trials[2]
    assert last.datetime_complete == site.study.trials[3].datetime_complete
    words = get_note_from_system_attrs(attributes, last._trial_id)["body"]
    assert "[trial 3](/dashboard/studies/1/trials?numbers=3)" in words
    before = system_attributes(front)
    refresh(site.store, site.study, print)
    assert system_attributes(front) == before


def test_a_confirmation_says_its_verdict_and_not_one_runs(site: Site) -> None:
    record = StudyRecord.of(site.study)
    assert record is not None
    best = ConfirmationPoint(
        key=uuid_of(TrialRecord.of(site.study.trials[1]), record.identity),
        params=site.study.trials[1].params,
        trial=1,
        reported=0.94,
    )
    default = ConfirmationPoint(key=DEFAULT, params=best.params)
    copy = StudyRecord(**asdict(record) | {"uuid": "c" * 32})
    study = enter_confirmation(site.store, NAME, record.identity, copy)
    refresh(site.store, study, print)
    assert "on fresh seeds" in get_note(study)
    add_runs(site.store, study, [best, default], 3, seed=7)
    scores = {best.key: 0.93, DEFAULT: 0.7}
    for trial in study.get_trials(deepcopy=False):
        mark = trial.system_attrs[CONFIRMATION_RUN]
        value = scores[mark["arm"]] + 0.01 * mark["seed"]
        site.store.storage.set_trial_state_values(trial._trial_id, TrialState.COMPLETE, [value])
    site.store.forget([study._study_id])
    refresh(site.store, site.study, print)  # of the study that it confirms
    note = get_note(study)
    assert markdown("On 3 fresh seeds: trial 1 has score 0.940") in note
    assert markdown("reported 0.940: confirmed") in note
    assert "| trial 1 | 0\\.940 | 0\\.940 |" in note
    assert "Trial 2 scores" not in note
    figures = get_plotly_graph_objects(system_attributes(study))
    assert set(figures) == {"scores-on-fresh-seeds"}
    assert title_of(figures["scores-on-fresh-seeds"]) == "<b>Scores on fresh seeds</b>"


def test_a_confirmation_of_a_study_that_is_gone_says_so(site: Site) -> None:
    study = optuna.create_study(study_name="gone/confirm", storage=site.store.storage)
    study.set_user_attr(CONFIRMS, "gone")
    refresh(site.store, study, print)
    assert markdown("No verdict: the study that it confirms is not here.") in get_note(study)


def test_a_figure_that_fails_is_left_out_and_told_of(site: Site) -> None:
    said: list[str] = []
    refresh(site.store, site.study, said.append, {"bad": lambda summary: 1 / 0})  # type: ignore[dict-item]
    assert said == ["the figure 'bad' is left out: ZeroDivisionError: division by zero"]
    assert get_note(site.study)


def test_a_running_search_writes_it_in_turns(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1e9]
    monkeypatch.setattr(
        "cvfp_opt.store.record.study_page.TIMES_COST", 0.0
    )  # however slow the machine
    monkeypatch.setattr("cvfp_opt.store.record.study_page.time.time", lambda: now[0])

    def after(seconds: float, *, last: bool = False) -> bool:
        """Whether the page is written when one more trial has ended."""
        site.study.add_trial(complete(0.5, 0.9, 0.9))
        now[0] += seconds
        before = get_note(site.study)
        keep_current(site.store, site.study, last=last)
        return get_note(site.study) != before

    assert after(0)
    assert not after(59)
    assert after(2)
    assert not after(1)
    assert after(1, last=True)
    assert after(-1e6)  # a clock that was set back
    monkeypatch.setattr("cvfp_opt.store.record.study_page.TIMES_COST", 1e9)
    assert not after(61)  # what is costly comes more seldom
    keep_current(site.store, site.study, last=True)
    version = system_attributes(site.study)["dashboard:note_ver"]
    keep_current(site.store, site.study, last=True)  # the second of two workers
    assert system_attributes(site.study)["dashboard:note_ver"] == version


def test_a_foreign_study_has_a_page_too(site: Site) -> None:
    study = optuna.create_study(study_name=f"x {EVIL}", storage=site.store.storage)
    study.add_trial(optuna.trial.create_trial(value=1.0))
    sync_mirrors(site.store, site.study)
    said: list[str] = []
    refresh(site.store, study, said.append)
    assert "made by another program" in get_note(study) or "1 complete" in get_note(study)
    assert said == []


def trial_note(study: optuna.Study, number: int) -> str:
    trial_id = study.trials[number]._trial_id
    return str(get_note_from_system_attrs(system_attributes(study), trial_id)["body"])


def test_a_trial_that_has_ended_has_a_note(site: Site) -> None:
    site.study.enqueue_trial({})
    refresh(site.store, site.study, print)
    note = trial_note(site.study, 1)
    assert note.startswith("**complete, score 0\\.9400**")
    assert "Trial 1 scores 0\\.940, better than the untrained net" in note
    for row in ("| layernorm\\_mix | 0\\.8 |", "| convergence | 98\\.0% |", "| time | 3\\.0 s |"):
        assert row in note
    assert "pruned after pass 1" in trial_note(site.study, 2)
    assert "OSError\\: &lt;/script&gt;" in trial_note(site.study, 4)
    assert all("<" not in trial_note(site.study, number) for number in range(5))
    assert trial_note(site.study, 5) == ""


def test_a_note_on_a_trial_is_written_once(site: Site) -> None:
    refresh(site.store, site.study, print)
    trial_id = site.study.trials[1]._trial_id
    site.study._storage.set_study_system_attr(
        site.study._study_id, f"dashboard:{trial_id}:note_str:0", "mine"
    )
    refresh(site.store, site.study, print)
    assert trial_note(site.study, 1) == "mine"


def test_notes_on_trials_are_so_many_and_the_best(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cvfp_opt.report.dashboard.page.MAX_TRIAL_NOTES", 6)
    refresh(site.store, site.study, print)
    site.study.add_trials([complete(0.5, 0.1, 0.1), complete(0.5, 0.1, 0.1)])
    site.study.add_trial(complete(0.5, 0.99, 0.99))
    refresh(site.store, site.study, print)
    noted = [bool(trial_note(site.study, number)) for number in range(8)]
    assert noted == [True] * 5 + [True, False, True]


def test_a_note_fits_whatever_a_trial_says(site: Site) -> None:
    distribution = optuna.distributions.CategoricalDistribution(["x" * 1000])
    names = [f"p{i}" for i in range(50)]
    site.study.add_trial(
        optuna.trial.create_trial(
            value=0.5,
            params=dict.fromkeys(names, "x" * 1000),
            distributions=dict.fromkeys(names, distribution),
            user_attrs={"status": "finished", "reason": "y" * 10_000},
        )
    )
    refresh(site.store, site.study, print)
    note = trial_note(site.study, 5)
    assert len(note) < 6000
    assert "| more settings | 38 |" in note


def test_old_trials_are_given_their_curves_once(site: Site) -> None:
    assert write_missing_curves(site.store, site.study, site.artifacts) == 4
    with open_for_search(site.location) as store:
        study = optuna.load_study(study_name=NAME, storage=store.storage)
        assert write_missing_curves(store, study, site.artifacts) == 0
        named = [picture_id(trial.system_attrs) for trial in study.trials]
        assert [bool(one) for one in named] == [True, True, True, True, False]
        refresh(store, study, print)
        trial = study.trials[1]
        assert f"(/artifacts/1/{trial._trial_id}/{named[1]})" in trial_note(study, 1)


@pytest.mark.parametrize("name", known_studies.STUDIES)
def test_any_trial_that_has_ended_can_be_noted(name: str) -> None:
    summary = known_studies.STUDIES[name]()
    for one in summary.trials[:20]:
        note = trial_notes.trial_note(summary, one)
        assert note.startswith(f"**{one.state}")
        assert "<" not in note


def test_a_note_that_fails_is_told_of(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cvfp_opt.report.dashboard.page.trial_note", lambda *words: 1 / 0)
    said: list[str] = []
    refresh(site.store, site.study, said.append)
    assert len(said) == 5
    assert said[0].endswith("has no note: ZeroDivisionError: division by zero")
    assert get_note(site.study)
