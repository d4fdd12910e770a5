"""The environment of a study's first worker, where it was created before there was one."""

from dataclasses import asdict, replace

import optuna

from cvfp_opt.store.database.frozen_trials import read_attributes
from cvfp_opt.store.database.optuna_private import study_id_of
from cvfp_opt.store.database.rows import lock_study
from cvfp_opt.store.database.storage import Store
from cvfp_opt.store.database.study_rows import put_attributes
from cvfp_opt.store.database.tables import STUDY_USER_ATTRIBUTES
from cvfp_opt.store.record.records import STUDY, StudyRecord
from cvfp_opt.store.record.trial_attributes import StoredEnvironment


def note_first(store: Store, study: optuna.Study, environment: StoredEnvironment) -> None:
    """Write a worker's environment into the record of a study that has none, under its lock."""
    record = StudyRecord.of(study)
    if record is None or record.environment:
        return
    study_id = study_id_of(study)
    with store.engine.begin() as connection:
        lock_study(connection, study_id)
        now, _ = StudyRecord.look(read_attributes(connection, study_id, system=False))
        if now is not None and not now.environment:
            written = {STUDY: asdict(replace(now, environment=environment))}
            put_attributes(connection, STUDY_USER_ATTRIBUTES, study_id, written)
