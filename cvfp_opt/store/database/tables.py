"""The tables of a study database: Optuna's, and ours beside them, of which it knows nothing."""

from sqlalchemy import Column, Double, Integer, MetaData, String, Table, Text

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

# Whoever opens a database to write makes those that are missing; older versions leave them alone.
OWN = MetaData()

# A row for each trial that a worker runs, see store.queue.leases.
LEASES = Table(
    "cvfp_opt_leases",
    OWN,
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

# A row for each worker that stays, see store.queue.workers.
WORKERS = Table(
    "cvfp_opt_workers",
    OWN,
    Column("worker", String(32), primary_key=True),
    Column("host", String(255), nullable=False),
    Column("machine", String(128), nullable=False),
    Column("pid", Integer, nullable=False),
    Column("started", Double, nullable=False),
    Column("version", String(64), nullable=False),
    Column("device", String(255), nullable=False),
    Column("lanes", Integer, nullable=False),
    Column("patterns", Text, nullable=False),
    Column("joined", Double, nullable=False),
    Column("seen", Double, nullable=False),
    Column("seconds", Double, nullable=False),
    Column("state", String(16), nullable=False),
    Column("study_id", Integer),
    Column("reason", Text, nullable=False),
    Column("skipped", Text, nullable=False),
    Column("wanted", String(16), nullable=False),
    Column("until", Double),
    mysql_engine="InnoDB",
)

# A row for each token of `serve`, see store.record.tokens.
TOKENS = Table(
    "cvfp_opt_tokens",
    OWN,
    Column("name", String(64), primary_key=True),
    Column("digest", String(64), nullable=False, unique=True),
    Column("scopes", String(255), nullable=False),
    Column("studies", String(512), nullable=False),
    Column("created", Double, nullable=False),
    Column("expires", Double),
    Column("used", Double),
    mysql_engine="InnoDB",
)

# A row for each thing that happened, see store.queue.events. An id is never used again, and rows
# become visible in the order of their ids.
EVENTS = Table(
    "cvfp_opt_events",
    OWN,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("uuid", String(32), nullable=False, unique=True),
    Column("kind", String(32), nullable=False),
    Column("time", Double, nullable=False),
    Column("study_id", Integer, nullable=False, index=True),
    Column("study", String(512), nullable=False),
    Column("identity", String(64), nullable=False),
    Column("body", Text, nullable=False),
    sqlite_autoincrement=True,
    mysql_engine="InnoDB",
)

# A row for each hook that any process was told by, with the last event that was handed to it; and
# one for each event that it is, or was, to be told. See store.queue.outbox.
HOOKS = Table(
    "cvfp_opt_hooks",
    OWN,
    Column("hook", String(64), primary_key=True),
    Column("upto", Integer, nullable=False),
    Column("joined", Double, nullable=False),
    mysql_engine="InnoDB",
)
DELIVERIES = Table(
    "cvfp_opt_deliveries",
    OWN,
    Column("event_id", Integer, primary_key=True, autoincrement=False),
    Column("hook", String(64), primary_key=True),
    Column("state", String(16), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due", Double, nullable=False),
    Column("sender", String(32), nullable=False),
    Column("sent", Double),
    Column("why", Text, nullable=False),
    mysql_engine="InnoDB",
)

# The tables with rows of a trial, or of a study: children before parents, as rows are deleted.
TRIAL_PARTS = [t for t in reversed(TABLES.values()) if "trial_id" in t.c and t is not TRIALS]
STUDY_PARTS = [t for t in reversed(TABLES.values()) if "study_id" in t.c and t is not TRIALS]
