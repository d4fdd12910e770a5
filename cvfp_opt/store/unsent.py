"""Results of trials that a database which stayed away could not be told, as files."""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from optuna.trial import TrialState

from cvfp_opt.errors import StorageError
from cvfp_opt.store.births import Birth
from cvfp_opt.store.claims import Claims, Held
from cvfp_opt.store.holding import Hold
from cvfp_opt.store.leases import LeaseLost
from cvfp_opt.store.rows import Reported

FORMAT = 1
FOLDER = Path("storage") / "unsent"


@dataclass(frozen=True, kw_only=True)
class Unsent:
    """How a trial ended, and the lease under which that may be written.

    Attributes:
        study: identity of the study, StudyRecord.identity.
        trial_id, number, epoch, birth: of the held trial.
        state: Optuna's, by name.
        values: of the objectives; None if there are none.
        intermediate: by step.
        user_attrs: plain JSON.
        format: of the file.
    """

    study: str
    trial_id: int
    number: int
    epoch: int
    birth: dict[str, Any]
    state: str
    values: list[float] | None
    intermediate: dict[str, float] = field(default_factory=dict)
    user_attrs: dict[str, Any] = field(default_factory=dict)
    format: int = FORMAT


def keep_unsent(hold: Hold, state: TrialState, values: Sequence[float] | None) -> Path:
    """Write the result of a trial to a file of its own, in the current folder's ``storage``.

    Raises:
        StorageError: the disk refuses too.
    """
    held, reported = hold.held, hold.reported
    unsent = Unsent(
        study=hold.claims.identity,
        trial_id=held.trial_id,
        number=held.number,
        epoch=held.epoch,
        birth=held.birth.to_dict(),
        state=state.name,
        values=None if values is None else list(values),
        intermediate={str(step): value for step, value in reported.intermediate.items()},
        user_attrs=reported.user_attrs,
    )
    path = Path.cwd() / FOLDER / f"{held.birth.uuid}-{held.epoch}.json"
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary.write_text(json.dumps(asdict(unsent)), encoding="utf-8")
        os.replace(temporary, path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise StorageError(f"{path}: cannot be written: {error.strerror}") from None
    return path


def send_unsent(claims: Claims) -> Iterator[str]:
    """Write to the database what it could not be told before; a line for each file.

    A trial that somebody else has taken meanwhile is left to them.
    """
    for path in sorted((Path.cwd() / FOLDER).glob("*.json")):
        try:
            unsent = Unsent(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            yield f"{path}: not an unsent result, left alone: {error}"
            continue
        if unsent.study != claims.identity or unsent.format != FORMAT:
            continue
        held = Held(
            trial_id=unsent.trial_id,
            number=unsent.number,
            epoch=unsent.epoch,
            birth=Birth(**unsent.birth),
            attempts=0,
            new=False,
        )
        steps = {int(step): value for step, value in unsent.intermediate.items()}
        reported = Reported(intermediate=steps, user_attrs=dict(unsent.user_attrs))
        hold = Hold(claims=claims, held=held, reported=reported)
        try:
            hold.finish(TrialState[unsent.state], unsent.values)
        except LeaseLost:
            yield f"trial {unsent.number}: kept result dropped: it was taken or ended meanwhile"
        else:
            yield f"trial {unsent.number}: kept result written to the database"
        path.unlink(missing_ok=True)
