"""Optuna's tables, as far as a study has rows in them: those of its trials are in store.rows."""

from optuna.storages._rdb import models
from sqlalchemy import Table

DIRECTIONS: Table = models.StudyDirectionModel.__table__
STUDY_USER_ATTRIBUTES: Table = models.StudyUserAttributeModel.__table__
STUDY_SYSTEM_ATTRIBUTES: Table = models.StudySystemAttributeModel.__table__
