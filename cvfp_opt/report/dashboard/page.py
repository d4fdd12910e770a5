"""The page of a study in the dashboard: writing its note, its figures and its trials' notes."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

import optuna
from optuna.trial import FrozenTrial
from optuna_dashboard import save_plotly_graph_object

from cvfp_opt.report.dashboard.curves import files_of
from cvfp_opt.report.dashboard.figures import Drawing, drawings
from cvfp_opt.report.dashboard.notes import (
    MirroredTrial,
    confirmation_note,
    mirror_note,
    mirrored_trial_note,
    study_note,
    with_own_words,
)
from cvfp_opt.report.dashboard.trial_notes import trial_note
from cvfp_opt.store.database.number_checks import is_whole
from cvfp_opt.store.database.optuna_private import study_id_of, trial_id_of
from cvfp_opt.store.database.storage import Store
from cvfp_opt.store.files.artifact_names import name_artifacts
from cvfp_opt.store.files.artifact_stores import ArtifactStore
from cvfp_opt.store.files.trial_files import has_curves, picture_id, write_curves
from cvfp_opt.store.record.identity import TrialIdentity
from cvfp_opt.store.record.links import Source, linked_studies
from cvfp_opt.store.record.mirrors import MIRRORS, SOURCE_TRIAL
from cvfp_opt.store.record.records import MIRROR_OF, StudyRecord, TrialRecord, count_finished
from cvfp_opt.store.record.study_page import note_of, noted_trials, put_note, take_turn, write_page
from cvfp_opt.store.record.summary import Summary

# Characters of a figure: every open page fetches all figures every few seconds.
MAX_FIGURE = 250_000
# Notes on trials: every open page fetches them all, and searches them for each trial in turn.
# Beyond so many, only trials among the best get one.
MAX_TRIAL_NOTES = 200

# How many of the best trials have a note in any case.
_BEST = 5


def keep_current(store: Store, study: optuna.Study, *, last: bool = False) -> None:
    """Write a study's page if that is due; see store.record.study_page for how often it is.

    Figures that are left out are not reported here, but by ``dashboard --refresh``.
    """
    if take_turn(store, study, count_finished(study), last=last):
        refresh(store, study, lambda text: None)


def refresh(
    store: Store,
    study: optuna.Study,
    notify: Callable[[str], None],
    figures: Mapping[str, Drawing] | None = None,
) -> None:
    """Write a study's note and figures, and its mirrors' notes; what has not changed stays.

    Args:
        store, study: whose page.
        notify: called with a line for each figure that is left out.
        figures: what to draw, by what stands above each; None for ours.
    """
    started = time.perf_counter()
    trials = study.get_trials(deepcopy=False)
    summary = Summary.of(study, store.location.shown)
    ended = sum(trial.finished for trial in summary.trials)
    linked = linked_studies(store, Source.of_study(study))
    mirrors = {one.study_name: study_id_of(one) for one in linked if MIRROR_OF in one.user_attrs}
    if summary.confirms:
        drawn, note = _confirmed(store, study, summary)
    else:
        drawn, note = summary, study_note(summary, store.location.option, mirrors)
    chosen = drawings(confirms=bool(summary.confirms)) if figures is None else figures

    def compose(page: optuna.Study) -> None:
        _note(page, note)
        for name, drawing in chosen.items():
            _figure(page, name, drawing, drawn, notify)
        _trial_notes(page, summary, trials, notify)

    write_page(store, study, compose, started=started, ended=ended)
    for one in linked:
        other = optuna.load_study(study_name=one.study_name, storage=store.storage)
        if one.study_name in mirrors:
            _refresh_mirror(store, other, study)
        else:
            refresh(store, other, notify, figures)


def _confirmed(store: Store, study: optuna.Study, summary: Summary) -> tuple[Summary, str]:
    """Give what a confirmation's page is about, with its note: the study that it confirms."""
    option, name = store.location.option, summary.confirms
    with suppress(KeyError):
        source = optuna.load_study(study_name=name, storage=store.storage)
        if Source.of_study(source).has_confirmation(study.study_name, study.user_attrs):
            drawn = Summary.of(source, store.location.shown)
            return drawn, confirmation_note(summary, drawn, study_id_of(source), option)
    return summary, confirmation_note(summary, None, None, option)


def _refresh_mirror(store: Store, study: optuna.Study, source: optuna.Study) -> None:
    """Write a mirror's note, and which trial each of its trials is a copy of."""
    started = time.perf_counter()
    suffix = study.study_name.removeprefix(f"{source.study_name}/")
    mirror = next((one for one in MIRRORS if one.suffix == suffix), None)
    if mirror is None:
        return
    copies = {
        trial.number: (trial_id_of(trial), MirroredTrial.of(trial))
        for trial in study.get_trials(deepcopy=False)
        if is_whole(trial.user_attrs.get(SOURCE_TRIAL), 2**31)
    }
    front = [
        copies[one.number][1]
        for one in Summary.of(study, store.location.shown).ranking
        if one.number in copies
    ]
    named = source.study_name, study_id_of(source)
    note = mirror_note(mirror, *named, front)
    noted = noted_trials(study)
    lacking = [copy for copy in copies.values() if copy[0] not in noted]
    lacking = lacking[: max(0, MAX_TRIAL_NOTES - len(noted))]
    if note_of(study).startswith(note) and not lacking:
        return

    def compose(page: optuna.Study) -> None:
        _note(page, note)
        for trial_id, copy in lacking:
            put_note(page, mirrored_trial_note(copy, *named), trial_id)

    write_page(store, study, compose, started=started, ended=len(copies))


def write_missing_curves(store: Store, study: optuna.Study, artifacts: ArtifactStore) -> int:
    """Write the curves of ended trials that have none; return of how many trials.

    Raises:
        StorageError: the store of artifacts refuses.
    """
    record, _ = StudyRecord.look(study.user_attrs)
    if record is None:  # its trials have no identities
        return 0
    count = 0
    for trial in study.get_trials(deepcopy=False):
        identity = TrialIdentity.of(trial, study=record.identity, seed=record.seed)
        if not trial.state.is_finished() or has_curves(trial.system_attrs, identity.uuid):
            continue
        named = write_curves(artifacts, identity.uuid, files_of(TrialRecord.of(trial)))
        with store.engine.begin() as connection:
            name_artifacts(connection, trial_id_of(trial), named)
        count += bool(named)
    return count


def _note(page: optuna.Study, note: str) -> None:
    before = note_of(page)
    whole = with_own_words(note, before)
    if whole != before:
        put_note(page, whole)


def _trial_notes(
    page: optuna.Study,
    summary: Summary,
    trials: Sequence[FrozenTrial],
    notify: Callable[[str], None],
) -> None:
    """Write a note on each ended trial that has none: what has ended stays as it is."""
    known = {trial.number: trial for trial in trials}
    noted = noted_trials(page)
    best = [trial.number for trial in summary.ranking[:_BEST]]
    for record in sorted(summary.trials, key=lambda record: record.number not in best):
        trial = known.get(record.number)
        if trial is None or trial_id_of(trial) in noted or not record.finished:
            continue
        if len(noted) < MAX_TRIAL_NOTES or record.number in best:
            picture = picture_id(trial.system_attrs)
            path = (
                f"/artifacts/{study_id_of(page)}/{trial_id_of(trial)}/{picture}" if picture else ""
            )
            try:
                note = trial_note(summary, record, path)
            except Exception as error:  # a note is not worth a search
                notify(f"trial {record.number} has no note: {type(error).__name__}: {error}")
                continue
            put_note(page, note, trial_id_of(trial))
            noted.add(trial_id_of(trial))


def _figure(
    page: optuna.Study,
    name: str,
    drawing: Drawing,
    summary: Summary,
    notify: Callable[[str], None],
) -> None:
    try:
        figure = drawing(summary)
        size = len(figure.to_json())
    except Exception as error:  # a picture is not worth a search
        notify(f"the figure {name!r} is left out: {type(error).__name__}: {error}")
        return
    if size > MAX_FIGURE:
        notify(f"the figure {name!r} is left out: {size} characters, more than {MAX_FIGURE}")
        return
    save_plotly_graph_object(page, figure, graph_object_id=name)
