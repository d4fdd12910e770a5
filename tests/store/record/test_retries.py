"""Retries: which trial repeats which, over any number of steps."""

from cvfp_opt.store.record.records import TrialRecord
from cvfp_opt.store.record.retries import retry_chain, uuid_of


def trial(number: int, uuid: str = "", retry_of: str = "") -> TrialRecord:
    identity = {"uuid": uuid, "retry_of": retry_of} if uuid else {}
    return TrialRecord(number=number, state="complete", identity=identity)


def test_a_chain_is_all_trials_of_one_point() -> None:
    derived = uuid_of(trial(0), "study")
    trials = [
        trial(0),  # of format 1: its identity is derived
        trial(1, "b"),
        trial(2, "c", derived),
        trial(3, "d", "c"),
        trial(4, "e", "b"),
        trial(5, "f", derived),
    ]
    assert retry_chain(trials, "study", 0) == retry_chain(trials, "study", 3) == [0, 2, 3, 5]
    assert retry_chain(trials, "study", 1) == [1, 4]


def test_a_chain_whose_first_trial_is_elsewhere() -> None:
    trials = [trial(0, "a", "elsewhere"), trial(1, "b", "a"), trial(2, "c", "elsewhere")]
    assert retry_chain(trials, "study", 1) == [0, 1, 2]


def test_a_circle_ends() -> None:
    trials = [trial(0, "a", "b"), trial(1, "b", "a")]
    assert 0 in retry_chain(trials, "study", 0)


def test_the_identity_of_a_trial_without_one_depends_on_study_and_number() -> None:
    uuids = {uuid_of(trial(n), study) for n in (0, 1) for study in ("s", "t")}
    assert len(uuids) == 4
