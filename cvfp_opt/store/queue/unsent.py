"""Unsent results: written to files while the database is away, and to the database later."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from optuna.trial import TrialState

from cvfp_opt.disk import write_file
from cvfp_opt.errors import StorageError
from cvfp_opt.escaping import quoted
from cvfp_opt.store.database.optuna_private import study_id_of
from cvfp_opt.store.database.rows import lock_study
from cvfp_opt.store.database.unsent_folder import FOLDER as FOLDER
from cvfp_opt.store.database.unsent_folder import unsent_files, unsent_folder
from cvfp_opt.store.queue.claims import Claims
from cvfp_opt.store.queue.leases import LeaseLost
from cvfp_opt.store.queue.trial_writer import TrialWriter
from cvfp_opt.store.queue.unsent_owner import Verdict, judge
from cvfp_opt.store.queue.unsent_result import Unsent, read_unsent


def keep_unsent(
    writer: TrialWriter,
    state: TrialState,
    values: Sequence[float] | None,
    forget: Sequence[str] = (),
) -> Path:
    """Write the result of a trial to a file of its own, in ``storage/unsent`` here.

    Raises:
        StorageError: the disk refuses too.
    """
    claimed, claims, pending = writer.claimed, writer.claims, writer.pending
    unsent = Unsent(
        study=claims.identity,
        trial_id=claimed.trial_id,
        number=claimed.number,
        epoch=claimed.epoch,
        birth=dict(claimed.identity.to_dict()),
        state=state.name,
        values=None if values is None else list(values),
        intermediate={str(step): value for step, value in pending.intermediate.items()},
        user_attrs=pending.user_attrs,
        system_attrs=pending.system_attrs,
        forget=list(forget),
        worker=writer.by,
        database=claims.store.location.where,
    )
    # two copies of a database may have the same trial; no two workers have the same name
    path = unsent_folder() / f"{writer.by}-{claimed.trial_id}-{claimed.epoch}.json"
    write_file(path, json.dumps(asdict(unsent)), error=StorageError)
    return path


def send_unsent(claims: Claims) -> Iterator[str]:
    """Write unsent results to the database; yield a line for each file.

    Results of other studies stay for their workers; what does not fit stays, and is named.
    """
    for path in unsent_files():
        try:
            unsent = read_unsent(path)
        except StorageError as error:
            if path.exists():  # or another worker was quicker
                yield str(error)
            continue
        if unsent.study != claims.identity:
            continue
        verdict = _send(claims, unsent)
        if verdict.study not in (claims.study.study_name, ""):
            continue  # a copy of the study, in the same database
        if verdict.why:
            yield (
                f"trial {unsent.number}: a kept result was not written: {verdict.why}; if nobody "
                f"misses it, type `rm {quoted(path)}`"
            )
            continue
        path.unlink(missing_ok=True)
        already = "was in the database already" if verdict.written else "written to the database"
        yield f"trial {unsent.number}: kept result {already}"


def _send(claims: Claims, unsent: Unsent) -> Verdict:
    """Judge and write a result in one transaction, in which nobody else claims."""
    with claims.store.engine.begin() as connection:
        lock_study(connection, study_id_of(claims.study))
        verdict = judge(connection, claims.store.location, unsent)
        if verdict.worker and verdict.study == claims.study.study_name:
            writer = TrialWriter(
                claims=claims,
                claimed=unsent.claimed(),
                pending=unsent.pending(),
                by=verdict.worker,
            )
            try:
                writer.end(connection, TrialState[unsent.state], unsent.values, unsent.forget)
            except LeaseLost:
                return Verdict(study=verdict.study, why="another worker was quicker")
    return verdict
