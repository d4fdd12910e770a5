"""The tables of a study database: Optuna's, and one of ours beside them."""

from optuna.storages._rdb import models
from sqlalchemy import Column, Double, Integer, MetaData, String, Table

STUDIES: Table = models.StudyModel.__table__
DIRECTIONS: Table = models.StudyDirectionModel.__table__
STUDY_USER_ATTRIBUTES: Table = models.StudyUserAttributeModel.__table__
STUDY_SYSTEM_ATTRIBUTES: Table = models.StudySystemAttributeModel.__table__
TRIALS: Table = models.TrialModel.__table__
PARAMS: Table = models.TrialParamModel.__table__
VALUES: Table = models.TrialValueModel.__table__
INTERMEDIATE: Table = models.TrialIntermediateValueModel.__table__
USER_ATTRIBUTES: Table = models.TrialUserAttributeModel.__table__
SYSTEM_ATTRIBUTES: Table = models.TrialSystemAttributeModel.__table__

# Who runs which trial, see store.queue.leases.
LEASES = Table(
    "cvfp_opt_leases",
    MetaData(),
    Column("trial_id", Integer, primary_key=True, autoincrement=False),
    Column("worker", String(32), nullable=False),
    Column("host", String(255), nullable=False),
    Column("machine", String(128), nullable=False),
    Column("pid", Integer, nullable=False),
    Column("started", Double, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("expires", Double, nullable=False),
    Column("seconds", Double, nullable=False),
    Column("attempts", Integer, nullable=False),
    mysql_engine="InnoDB",
)
