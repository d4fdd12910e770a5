"""Merging: which trials are the same, their numbers, conflicts, and what comes next."""

import json
from typing import Any

import pytest
from archives import Artifacts, account
from dumps import confirmed, own_study, own_trial, record, studies
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.trial import TrialState

from cvfp_opt.errors import StudyError
from cvfp_opt.store.record.confirmation import CONFIRMATION_POINTS
from cvfp_opt.store.record.identity import IDENTITY_KEY, TrialIdentity
from cvfp_opt.store.record.mirrors import SOURCE_TRIAL
from cvfp_opt.store.record.records import CONFIRMS, MIRROR_OF, MIRRORED, STUDY
from cvfp_opt.store.transfer.dump import Dump, TrialDump
from cvfp_opt.store.transfer.merge import MERGED_FROM, Merged, Source, merge

WAITING = TrialState.WAITING


def merged(*dumps: Dump) -> Merged:
    """Merge studies named A, B, C ..."""
    sources = [
        Source(label=chr(ord("A") + place), dump=dump, artifacts=Artifacts())
        for place, dump in enumerate(dumps)
    ]
    return merge(sources, "joined", lambda one, other: [])


def uuids(dump: Dump) -> list[str]:
    """The first letter of each trial's uuid; "-" for those without."""
    births = [dump.study.identity(trial) for trial in dump.study.trials]
    return [identity.uuid[0] if identity else "-" for identity in births]


def written(number: int, letter: str, seed: int = 1, **changes: Any) -> TrialDump:
    """A trial of a study with another seed."""
    return own_trial(number, identity=(letter, seed, number), **changes)


def test_the_first_keeps_its_numbers_and_the_others_follow_in_their_order() -> None:
    result = merged(
        own_study(own_trial(0), own_trial(1)),
        own_study(written(0, "b"), written(1, "c")),
        own_study(written(0, "d", seed=2)),
    )
    assert uuids(result.dump) == ["0", "1", "b", "c", "d"]
    assert [t.number for t in result.dump.study.trials] == [0, 1, 2, 3, 4]
    assert [(one.added, one.known) for one in result.joined] == [
        ({0: 0, 1: 1}, {}),
        ({0: 2, 1: 3}, {}),
        ({0: 4}, {}),
    ]
    assert result.conflicts == []


def test_the_first_one_s_confirmation_is_kept_the_others_are_told_of() -> None:
    first = confirmed(own_study(own_trial(0)))
    other = confirmed(own_study(written(0, "b"), of=record(seed=1, uuid="b" * 32)))
    result = merged(first, other)
    kept, study = result.dump.confirmation, result.dump.study
    assert kept is not None
    assert first.confirmation is not None
    assert study.record is not None
    assert kept.trials == first.confirmation.trials
    assert kept.name == "joined/confirm"
    points, before = (
        json.loads(one.user_attrs[CONFIRMATION_POINTS]) for one in (kept, first.confirmation)
    )
    assert points == before | {"uuid": study.record.identity}
    assert (
        points["arms"][0]["key"] == result.dump.study.trials[0].system_attr(IDENTITY_KEY)["uuid"]
    )
    assert json.loads(kept.user_attrs[CONFIRMS]) == "joined"
    assert kept.record is not None
    assert kept.record.identity not in ("c" * 32, study.record.identity)
    assert result.unconfirmed == ["B"]
    swapped = merged(own_study(written(0, "b"), of=record(seed=1, uuid="b" * 32)), first)
    assert swapped.dump.confirmation is None
    assert swapped.unconfirmed == ["B"]


def test_copies_of_one_study_that_went_on_apart() -> None:
    shared = [own_trial(0), own_trial(1)]
    result = merged(
        own_study(*shared, own_trial(2)),
        own_study(*shared, own_trial(2, identity=("b", 0, 2), x=0.5), own_trial(3)),
    )
    assert uuids(result.dump) == ["0", "1", "2", "b", "3"]
    assert result.joined[1].added == {2: 3, 3: 4}
    assert result.joined[1].known == {0: 0, 1: 1}


def test_a_trial_that_was_run_twice_counts_once() -> None:
    one, two = (
        own_trial(0),
        own_trial(0, identity=("b", 0, 0), user_attrs={"seconds": {"pass": 9}}),
    )
    assert uuids(merged(own_study(one), own_study(two)).dump) == ["0"]
    for other in (
        own_trial(0, identity=("b", 1, 0)),  # another seed
        own_trial(1, identity=("b", 0, 1)),  # another number
        own_trial(0, identity=("b", 0, 0), x=0.5),  # another point
        own_trial(0, identity=("b", 0, 0), digest="other weights"),
        own_trial(0, identity=("b", 0, 0), user_attrs={"metrics": {"residual": 0.5}}),
        own_trial(0, identity=("b", 0, 0), state=TrialState.FAIL),
    ):
        padding = [written(n, "e") for n in range(other.number)]
        found = uuids(merged(own_study(one), own_study(*padding, other)).dump)
        assert found == ["0", *"e" * other.number, "b"]


def test_a_trial_stands_for_at_most_one_trial_of_each_study() -> None:
    twins = own_trial(0, identity=("b", 0, 0)), own_trial(1, identity=("c", 0, 0))
    assert uuids(merged(own_study(own_trial(0)), own_study(*twins)).dump) == ["0", "c"]


def test_a_trial_that_waits_is_not_run_again_where_it_has_ended() -> None:
    waits = own_trial(1, identity=("b", 0, 1), state=WAITING)
    ended = own_trial(1)
    for first, second in ((waits, ended), (ended, waits)):
        result = merged(own_study(own_trial(0), first), own_study(own_trial(0), second))
        assert [t.state for t in result.dump.study.trials] == [TrialState.COMPLETE] * 2
        assert result.conflicts == []


def test_points_that_were_enqueued_apart_are_both_kept() -> None:
    def enqueued(x: float) -> TrialDump:
        attrs = {"fixed_params": {"x": x}}
        return own_trial(1, x=None, identity=None, state=WAITING, system_attrs=attrs)

    result = merged(own_study(own_trial(0), enqueued(0.5)), own_study(own_trial(0), enqueued(0.7)))
    assert uuids(result.dump) == ["0", "-", "-"]
    same = merged(own_study(own_trial(0), enqueued(0.5)), own_study(own_trial(0), enqueued(0.5)))
    assert uuids(same.dump) == ["0", "-"]
    run = merged(
        own_study(own_trial(0), enqueued(0.5)), own_study(own_trial(0), own_trial(1, x=0.5))
    )
    assert uuids(run.dump) == ["0", "1"]


def test_of_one_trial_with_two_outcomes_the_finished_one_is_kept() -> None:
    waits, ended = own_trial(0, state=WAITING), own_trial(0)
    result = merged(own_study(waits), own_study(ended))
    assert result.dump.study.trials[0].state is TrialState.COMPLETE
    assert result.conflicts == [
        "trial 0 of A (waiting) and trial 0 of B (complete) are one trial, but differ: "
        "kept the one of B, which is finished"
    ]
    [conflict] = merged(own_study(ended), own_study(waits)).conflicts
    assert conflict.endswith("kept the one of A, which is finished")


def test_of_one_trial_with_two_results_the_first_named_is_kept() -> None:
    one, two = own_trial(0), own_trial(0, user_attrs={"metrics": {"residual": 0.5}})
    result = merged(own_study(one), own_study(two))
    assert result.dump.study.trials[0].user_attr("metrics") == {"residual": 0.25}
    [conflict] = result.conflicts
    assert conflict.endswith("kept the one of A, which was named first")


def test_an_artifact_comes_from_the_study_whose_trial_is_kept() -> None:
    sources = [
        Source(
            label=label,
            dump=own_study(own_trial(0, state=state, system_attrs=account("x"))),
            artifacts=Artifacts(x=label.encode()),
        )
        for label, state in (("A", WAITING), ("B", TrialState.COMPLETE))
    ]
    for order, kept in ((sources, b"B"), (sources[::-1], b"B"), ([sources[0]] * 2, b"A")):
        result = merge(order, "joined", lambda one, other: [])
        with result.artifacts.open_reader("x") as file:
            assert file.read() == kept


def test_the_same_result_of_another_run_is_no_conflict() -> None:
    times = {"seconds": {"pass": 9.0}, "environment": {"host": "b", "weights_digest": "0.25"}}
    result = merged(own_study(own_trial(0)), own_study(own_trial(0, user_attrs=times)))
    assert result.conflicts == []


def test_trials_keep_their_birth_also_where_it_was_derived() -> None:
    old = own_study(own_trial(0, identity=None), of=record(uuid="", seed=5))
    before = old.study.identity(old.study.trials[0])
    result = merged(own_study(own_trial(0)), old)
    moved = result.dump.study.trials[1]
    assert TrialIdentity(**moved.system_attr(IDENTITY_KEY)) == before
    again = merged(result.dump, old)
    assert again.joined[1].known == {0: 1}


def test_the_result_is_a_study_of_its_own_and_says_what_of() -> None:
    other = own_study(written(0, "b"), name="t", of=record(uuid="b" * 32, seed=1), note="theirs")
    result = merged(own_study(own_trial(0), colour="red"), other)
    study = result.dump.study
    assert study.name == "joined"
    assert study.record is not None
    assert study.record.uuid not in ("", "a" * 32, "b" * 32)
    assert study.record.seed == 0
    attrs = {key: json.loads(text) for key, text in study.user_attrs.items() if key != STUDY}
    assert attrs == {
        "colour": "red",
        "note": "theirs",
        MERGED_FROM: [
            {"study": "s", "uuid": "a" * 32, "trials": 1},
            {"study": "t", "uuid": "b" * 32, "trials": 1},
        ],
    }


def test_mirrors_show_the_trials_of_the_result() -> None:
    failed = own_trial(0, state=TrialState.FAIL)
    result = merged(own_study(failed, own_trial(1, x=0.5)), own_study(written(0, "b"), name="t"))
    [mirror] = result.dump.mirrors
    assert mirror.name == "joined/pareto"
    assert result.dump.study.record is not None
    assert {key: json.loads(text) for key, text in mirror.user_attrs.items()} == {
        MIRROR_OF: "joined",
        MIRRORED: result.dump.study.record.identity,
    }
    shown = [(t.number, t.user_attr(SOURCE_TRIAL), t.values) for t in mirror.trials]
    assert shown == [(0, 1, (0.5, 0.5)), (1, 2, (0.25, 0.25))]


def test_studies_of_two_kinds_are_refused_with_the_differences() -> None:
    sources = [
        Source(label=label, dump=own_study(own_trial(0)), artifacts=Artifacts())
        for label in ("A", "B")
    ]
    with pytest.raises(StudyError) as refused:
        merge(sources, "joined", lambda one, other: ["training.num_epochs: 2, the first has 1"])
    assert str(refused.value) == (
        "B cannot be merged with A, only their seeds may differ:\n"
        "  training.num_epochs: 2, the first has 1"
    )


@given(study=studies())
@settings(deadline=None, max_examples=5)
def test_another_programs_study_is_refused(study: Any) -> None:
    with pytest.raises(StudyError, match="B: a study of cvfp-opt is required"):
        merged(own_study(own_trial(0)), Dump(study=study))


def test_a_study_whose_next_number_would_repeat_draws_is_refused() -> None:
    with pytest.raises(StudyError, match="created with the number 7, but there are only 2 trials"):
        merged(own_study(own_trial(0, identity=("7", 0, 7))), own_study(written(0, "b")))


@st.composite
def families(draw: st.DrawFn) -> list[Dump]:
    """Studies that were copied, went on apart, with one seed or several, and were merged."""
    counter = iter(range(16**4))

    def grow(dump: Dump, seed: int, count: int) -> Dump:
        grown = list(dump.study.trials)
        for _ in range(count):
            identity = (f"{next(counter):04x}"[:4], seed, len(grown))
            trial = own_trial(
                len(grown), identity=None, x=draw(st.sampled_from([0.25, 0.5])), digest="same"
            )
            born_as = TrialIdentity(uuid=f"{identity[0]:0<32}", seed=seed, number=identity[2])
            grown.append(trial.with_system_attr(IDENTITY_KEY, born_as.to_dict()))
        return own_study(*grown, of=record(seed=seed, uuid=f"{seed:032x}"))

    made = [
        grow(own_study(of=record(seed=seed)), seed, draw(st.integers(0, 3))) for seed in (0, 1)
    ]
    for _ in range(draw(st.integers(1, 4))):
        parent = draw(st.sampled_from(made))
        if draw(st.booleans()):
            parent = merged(parent, draw(st.sampled_from(made))).dump
        found = parent.study.record
        assert found is not None
        made.append(grow(parent, found.seed, draw(st.integers(0, 3))))
    return draw(st.lists(st.sampled_from(made), min_size=2, max_size=3))


@settings(deadline=None, max_examples=100)
@given(family=families())
def test_whatever_is_merged_nothing_is_lost_twice_or_drawn_again(family: list[Dump]) -> None:
    result = merged(*family)
    study = result.dump.study
    births = [study.identity(trial) for trial in study.trials]
    assert len({identity.uuid for identity in births if identity}) == len(study.trials)
    for dump, joined in zip(family, result.joined, strict=True):
        places = joined.added | joined.known
        assert sorted(places) == [trial.number for trial in dump.study.trials]
        assert len(set(places.values())) == len(places)
        for trial in dump.study.trials:
            kept = study.trials[places[trial.number]]
            assert (kept.values, kept.params) == (trial.values, trial.params)
    assert study.record is not None
    drawn = {(identity.seed, identity.number) for identity in births if identity}
    assert (study.record.seed, len(study.trials)) not in drawn
    assert all(number < len(study.trials) for _, number in drawn)
