"""Damages a healthy study database in one way at a time."""

import json
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from doctoring import NO_PROCESS, PRUNED, RECORD, WAITING, Site, audit, iterations, write_old
from optuna.trial import TrialState, create_trial
from sqlalchemy import delete, text, update

from cvfp_opt.store.database.tables import (
    INTERMEDIATE,
    LEASES,
    PARAMS,
    TRIALS,
    USER_ATTRIBUTES,
    VALUES,
)
from cvfp_opt.store.files.artifact_names import artifact_ids, artifact_key
from cvfp_opt.store.files.folder import FolderStore
from cvfp_opt.store.files.trial_checkpoints import TrialCheckpoints
from cvfp_opt.store.queue.leases import FORMER_LEASE, REVOKED
from cvfp_opt.store.queue.takeover import fail_trial
from cvfp_opt.store.queue.unsent import FOLDER as UNSENT
from cvfp_opt.store.queue.unsent import Unsent
from cvfp_opt.store.record.identity import IDENTITY_KEY
from cvfp_opt.store.record.records import CONFIRMS, FIXED_PARAMS, FORMAT, MIRROR_OF

ARTIFACTS = Path("artifacts")


def plant_log(site: Site) -> None:
    """As a process leaves it that is killed after it wrote."""
    _left_by_a_kill(site, "wal", "PRAGMA wal_autocheckpoint = 0")


def plant_journal(site: Site) -> None:
    """As a process leaves it that is killed while it writes, by Optuna's own settings."""
    _left_by_a_kill(site, "journal", "PRAGMA journal_mode = DELETE", "PRAGMA cache_size = 1")


def _left_by_a_kill(site: Site, suffix: str, *pragmas: str) -> None:
    path = site.location.file
    log = Path(f"{path}-{suffix}")
    connection = sqlite3.connect(path, isolation_level=None)
    for pragma in pragmas:
        connection.execute(pragma)
    if suffix == "journal":
        connection.execute("BEGIN")
    connection.execute("CREATE TABLE mine (x)")
    rows = [(b"x" * 2000,)] * 50
    connection.executemany("INSERT INTO mine VALUES (?)", rows)
    copies = [shutil.copy(one, f"{one}.copy") for one in (path, log)]
    if suffix == "journal":
        connection.execute("ROLLBACK")
    connection.close()
    for copy in copies:
        Path(copy).replace(copy.removesuffix(".copy"))


def plant_broken_index(site: Site) -> None:
    """An index that lacks entries; no study needs it."""
    connection = sqlite3.connect(site.location.file)
    connection.execute("CREATE TABLE mine (x)")
    connection.execute("CREATE INDEX mine_x ON mine (x)")
    connection.execute("INSERT INTO mine VALUES (1)")
    connection.commit()
    query = "SELECT rootpage FROM sqlite_master WHERE name = 'mine_x'"
    (page,) = connection.execute(query).fetchone()
    (size,) = connection.execute("PRAGMA page_size").fetchone()
    connection.close()
    with site.location.file.open("r+b") as file:
        file.seek((page - 1) * size + 3)  # number of cells
        file.write(bytes(2))


def plant_waiting_stranger(site: Site) -> None:
    """As another program enqueues it, which does not know the space."""
    point = {"phase1_convergence_threshold": 99, "unknown": "x"}
    site.set_system_attribute(WAITING, FIXED_PARAMS, point)


def plant_waiting_list(site: Site) -> None:
    """A point that is none."""
    site.set_system_attribute(WAITING, FIXED_PARAMS, [1])


def plant_truncation(site: Site) -> None:
    """A copy that was cut off."""
    with site.location.file.open("r+b") as file:
        file.truncate(site.location.file.stat().st_size // 2)


def set_schema(version: str | None) -> Callable[[Site], None]:
    """Another version of Optuna's tables; None for none."""

    def plant(site: Site) -> None:
        site.execute(text("DELETE FROM alembic_version"))
        if version is not None:
            site.execute(text(f"INSERT INTO alembic_version VALUES ('{version}')"))

    return plant


def add_lease_column(site: Site) -> None:
    site.execute(text(f"ALTER TABLE {LEASES.name} ADD COLUMN planet INTEGER"))


def drop_lease_column(site: Site) -> None:
    site.execute(text(f"ALTER TABLE {LEASES.name} DROP COLUMN planet"))


def plant_newer_record(site: Site) -> None:
    site.set_record(asdict(RECORD) | {"format": FORMAT + 1, "planets": 9})


def plant_no_record(site: Site) -> None:
    site.set_record({"author": "somebody"})


def plant_torn_attribute(site: Site) -> None:
    trial_id = site.trial_id(PRUNED)
    same = (USER_ATTRIBUTES.c.trial_id == trial_id, USER_ATTRIBUTES.c.key == "environment")
    site.execute(update(USER_ATTRIBUTES).where(*same).values(value_json='{"versions": {'))


def plant_gap(site: Site) -> None:
    site.delete_trial(site.trial_id(PRUNED))


def plant_twin_number(site: Site) -> None:
    trial = TRIALS.c.trial_id == site.trial_id(WAITING)
    site.execute(update(TRIALS).where(trial).values(number=PRUNED))


def plant_no_birth(site: Site) -> None:
    site.set_system_attribute(0, IDENTITY_KEY, None)


def plant_twin_birth(site: Site) -> None:
    site.set_system_attribute(1, IDENTITY_KEY, site.system_attribute(0, IDENTITY_KEY))


def plant_running_twin(site: Site) -> None:
    site.set_system_attribute(WAITING, IDENTITY_KEY, site.system_attribute(0, IDENTITY_KEY))
    site.run(WAITING)


def end_running_twin(site: Site) -> None:
    with site.store() as (store, study):
        fail_trial(store, study, WAITING, "by hand")
    site.mend()


def plant_foreign_birth(site: Site) -> None:
    site.set_system_attribute(
        0, IDENTITY_KEY, site.system_attribute(0, IDENTITY_KEY) | {"planet": "earth"}
    )


def plant_orphan_lease(site: Site) -> None:
    site.run(WAITING)
    site.execute(
        update(LEASES).where(LEASES.c.trial_id == site.trial_id(WAITING)).values(trial_id=999),
        update(TRIALS)
        .where(TRIALS.c.trial_id == site.trial_id(WAITING))
        .values(state=TrialState.WAITING),
    )


def unsent(site: Site, **changes: Any) -> None:
    """The file of a trial that this process has run, and could not tell of."""
    passes = iterations()
    result = Unsent(
        study=RECORD.identity,
        trial_id=site.trial_id(WAITING),
        number=WAITING,
        epoch=1,
        birth=site.system_attribute(WAITING, IDENTITY_KEY),
        state="COMPLETE",
        values=[0.625],
        intermediate={str(step): one["score"] for step, one in enumerate(passes)},
        user_attrs={
            "status": "finished",
            "scored": {k: passes[-1][k] for k in ("convergence_rate", "effective_rank", "score")},
            "metrics": passes[-1],
            "iterations": passes,
            "audit": audit(),
            "environment": {"versions": {}},
        },
    )
    UNSENT.mkdir(parents=True)
    (UNSENT / "one.json").write_text(json.dumps(asdict(result) | changes))


def plant_unsent(site: Site) -> None:
    site.run(WAITING)
    unsent(site)


def remove_unsent(site: Site) -> None:
    (UNSENT / "one.json").unlink()


def was_sent(site: Site) -> bool:
    return site.state(WAITING) is TrialState.COMPLETE and not list(UNSENT.iterdir())


def plant_dead_lease(site: Site) -> None:
    site.run(WAITING, pid=NO_PROCESS)


def plant_former_lease(site: Site) -> None:
    site.run(WAITING, lease=None)
    former = {"worker": "w", "host": "elsewhere", "pid": 1, "started": 0.0}
    site.set_system_attribute(WAITING, FORMER_LEASE, former)


def waits(site: Site) -> bool:
    return site.state(WAITING) is TrialState.WAITING


def plant_zombie(site: Site) -> None:
    site.run(WAITING, lease=None)


def plant_taken_from_the_queue(site: Site) -> None:
    """As it is when a worker gave the trial back and another program's ``ask`` took it."""
    site.run(WAITING, worker=REVOKED, epoch=2, expires=0.0)


def fail_waiting(site: Site) -> None:
    with site.store() as (store, study):
        assert fail_trial(store, study, WAITING, "by hand")


def plant_foreign_running(site: Site) -> None:
    with site.store() as (store, _):
        optuna.create_study(study_name="theirs", storage=store.storage).ask()


def set_value(number: int, value: float) -> Callable[[Site], None]:
    def plant(site: Site) -> None:
        same = VALUES.c.trial_id == site.trial_id(number)
        site.execute(update(VALUES).where(same).values(value=value))

    return plant


def plant_other_measurement(site: Site) -> None:
    passes = iterations()
    passes[-1]["effective_rank"] = 0.5
    site.set_attribute(0, "metrics", passes[-1])
    site.set_attribute(0, "iterations", passes)


def plant_other_weights(site: Site) -> None:
    record = asdict(RECORD)
    record["definition"]["objective"] |= {
        "convergence_weight": 0.25,
        "effective_rank_weight": 0.75,
    }
    site.set_record(record)


def set_reported(value: float | None) -> Callable[[Site], None]:
    """Of trial 0, after its first pass; None for none."""

    def plant(site: Site) -> None:
        columns = INTERMEDIATE.c
        same = (columns.trial_id == site.trial_id(0), columns.step == 0)
        if value is None:
            site.execute(delete(INTERMEDIATE).where(*same))
        else:
            site.execute(update(INTERMEDIATE).where(*same).values(intermediate_value=value))

    return plant


def set_audit(**changes: Any) -> Callable[[Site], None]:
    """Change what the audit of trial 0 says."""

    def plant(site: Site) -> None:
        site.set_attribute(0, "audit", audit() | changes)

    return plant


def plant_other_threshold(site: Site) -> None:
    site.execute(update(PARAMS).values(param_value=0.3))


def plant_no_audit(site: Site) -> None:
    site.set_attribute(0, "audit", {})
    site.delete_copies(0)


def plant_foreign_trial(site: Site) -> None:
    with site.store() as (_, study):
        study.add_trial(create_trial(value=0.9))


def plant_no_copy(site: Site) -> None:
    site.delete_trial(site.trial_id(2, "/pareto"))


def plant_other_copy(site: Site) -> None:
    same = VALUES.c.trial_id == site.trial_id(1, "/pareto")
    site.execute(update(VALUES).where(same).values(value=0.25))


def plant_other_point(site: Site) -> None:
    same = PARAMS.c.trial_id == site.trial_id(1, "/pareto")
    site.execute(update(PARAMS).where(same).values(param_value=0.25))


def plant_copy_of_failed(site: Site) -> None:
    trial = TRIALS.c.trial_id == site.trial_id(0)
    site.execute(update(TRIALS).where(trial).values(state=TrialState.FAIL))
    site.delete_trial(site.trial_id(0, "/pareto-audited"))


def plant_mirror_of_nothing(site: Site) -> None:
    with site.store() as (store, _):
        mirror = optuna.create_study(study_name="gone/pareto", storage=store.storage)
        mirror.set_user_attr(MIRROR_OF, "gone")


def plant_confirmation_of_nothing(site: Site) -> None:
    with site.store() as (store, _):
        study = optuna.create_study(study_name="gone/confirm", storage=store.storage)
        study.set_user_attr(CONFIRMS, "gone")


def name_artifact(number: int, artifact_id: str) -> Callable[[Site], None]:
    """An artifact that is not there, in a folder that is; "" for a trial's own checkpoint."""

    def plant(site: Site) -> None:
        ARTIFACTS.mkdir()
        named = artifact_id or f"{site.uuid(number)}-1"
        site.set_system_attribute(number, artifact_key(named), json.dumps({}))

    return plant


def plant_folder_as_artifact(site: Site) -> None:
    (ARTIFACTS / "1234").mkdir(parents=True)
    site.set_system_attribute(0, artifact_key("1234"), json.dumps({}))


def restore_artifact(site: Site) -> None:
    (ARTIFACTS / "1234").write_text("a curve")


def plant_no_folder(site: Site) -> None:
    site.set_system_attribute(WAITING, artifact_key(f"{site.uuid(WAITING)}-1"), json.dumps({}))


def save_checkpoint(site: Site, number: int) -> Path:
    """As a worker does, twice; the newer one."""
    checkpoints = TrialCheckpoints(FolderStore(ARTIFACTS.absolute()), site.uuid(number))
    arrays = {"weights": np.arange(6.0)}
    for iteration in (1, 2):
        key, value = checkpoints.save(arrays, {"iteration": iteration})
        site.set_system_attribute(number, key, value)
    return ARTIFACTS / artifact_ids([key])[0]


def plant_torn_checkpoint(site: Site) -> None:
    path = save_checkpoint(site, WAITING)
    path.write_bytes(path.read_bytes()[:-8])


def one_checkpoint_left(site: Site) -> bool:
    return len(list(ARTIFACTS.iterdir())) == 1


def plant_checkpoint_of_ended(site: Site) -> None:
    save_checkpoint(site, 0)
    write_old(ARTIFACTS / f"{site.uuid(1)}-2", b"never named")
    save_checkpoint(site, WAITING)


def two_checkpoints_left(site: Site) -> bool:
    return len(list(ARTIFACTS.iterdir())) == 2


def plant_unknown_file(site: Site) -> None:
    write_old(ARTIFACTS / f"{'b' * 32}-1", b"of another database")


def plant_temporary(site: Site) -> None:
    write_old(UNSENT / f"{'a' * 32}-1.4711.tmp")
