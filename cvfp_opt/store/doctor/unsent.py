"""Checks of the results in ``storage/unsent``: some belong in this database, others do not."""

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import optuna

from cvfp_opt.errors import StorageError
from cvfp_opt.escaping import quoted
from cvfp_opt.store.database.storage import Store
from cvfp_opt.store.database.unsent_folder import unsent_files
from cvfp_opt.store.doctor.context import Context
from cvfp_opt.store.doctor.finding import Finding, counted, of_trials
from cvfp_opt.store.doctor.rows import StudyRows
from cvfp_opt.store.queue.claims import Claims
from cvfp_opt.store.queue.unsent import send_unsent
from cvfp_opt.store.queue.unsent_owner import judge
from cvfp_opt.store.queue.unsent_result import NO_RESULT, Unsent, read_unsent


def find_unsent(context: Context) -> list[Finding]:
    """Find results that could not be written to this database."""
    waiting: dict[str, list[Path]] = defaultdict(list)
    found = []
    for path in unsent_files():
        try:
            unsent = read_unsent(path)
        except StorageError as error:
            found.append(_no_result(path, str(error).removeprefix(f"{path}: {NO_RESULT}: ")))
            continue
        studies = [
            study.name
            for study in context.every
            if study.record is not None and study.record.identity == unsent.study
        ]
        if not studies:
            found.append(_of_no_study(path))
            continue
        leased = context.schema is not None and context.schema.lease_columns
        verdict = judge(context.reader, context.location, unsent) if leased else None
        if verdict is not None and not verdict.why and verdict.study in studies:
            waiting[verdict.study].append(path)
        else:
            why = verdict.why if verdict is not None else "the database has no leases"
            found.append(_misfit(path, unsent, studies[0], why))
    return [*found, *(_kept(s, waiting[s.name]) for s in context.every if s.name in waiting)]


def _no_result(path: Path, why: str) -> Finding:
    return Finding(
        where=str(path),
        what="no result that can be read",
        cause=f"damaged, or written by another version: {why}",
        help=f"if nobody misses it, type `rm {quoted(path)}`",
    )


def _of_no_study(path: Path) -> Finding:
    return Finding(
        where=str(path),
        what="a result that was not sent",
        cause="its study is not in this database",
        help="name that study's database with --storage; if it was deleted, type "
        f"`rm {quoted(path)}`",
        harmless=True,
    )


def _misfit(path: Path, unsent: Unsent, study: str, why: str) -> Finding:
    return Finding(
        where=str(path),
        what=f"a result of {of_trials(study, [unsent.number])} that is not written here",
        cause=why,
        help=f"if nobody misses it, type `rm {quoted(path)}`",
    )


def _kept(study: StudyRows, paths: list[Path]) -> Finding:
    record = study.record
    assert record is not None

    def repair(open_store: Callable[[], Store]) -> str:
        store = open_store()
        loaded = optuna.load_study(study_name=study.name, storage=store.storage)
        claims = Claims(store=store, study=loaded, seed=record.seed, identity=record.identity)
        lines = [f"study {study.name}, {line}" for line in send_unsent(claims)]
        return "; ".join(lines) or f"study {study.name}: another worker was quicker"

    return Finding(
        where=f"study {study.name}",
        what=f"{counted(len(paths), 'result')} in {paths[0].parent} and not in the database",
        cause="the database did not answer when the trial ended, or its file was moved",
        help="writes them, where no other worker has taken the trial since",
        repair=repair,
    )
