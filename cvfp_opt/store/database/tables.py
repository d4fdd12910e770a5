"""The tables of a study database: Optuna's, and one of ours beside them."""

from sqlalchemy import Column, Double, Integer, MetaData, String, Table

from cvfp_opt.store.database.optuna_private import TABLES

STUDIES = TABLES["studies"]
DIRECTIONS = TABLES["study_directions"]
STUDY_USER_ATTRIBUTES = TABLES["study_user_attributes"]
STUDY_SYSTEM_ATTRIBUTES = TABLES["study_system_attributes"]
TRIALS = TABLES["trials"]
PARAMS = TABLES["trial_params"]
VALUES = TABLES["trial_values"]
INTERMEDIATE = TABLES["trial_intermediate_values"]
USER_ATTRIBUTES = TABLES["trial_user_attributes"]
SYSTEM_ATTRIBUTES = TABLES["trial_system_attributes"]
HEARTBEATS = TABLES["trial_heartbeats"]
VERSIONS = TABLES["version_info"]

# A row for each trial that a worker runs, see store.queue.leases.
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

# The tables with rows of a trial, or of a study: children before parents, as rows are deleted.
TRIAL_PARTS = [t for t in reversed(TABLES.values()) if "trial_id" in t.c and t is not TRIALS]
STUDY_PARTS = [t for t in reversed(TABLES.values()) if "study_id" in t.c and t is not TRIALS]
