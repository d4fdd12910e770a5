"""Hyperparameter optimization for the CVFP (Context Vector Fixed-Point) model.

The names below are the Python interface; docs/python.md is a tour of them. Importing this takes
milliseconds: what a function needs is imported when it is used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from cvfp_opt.version import __version__ as __version__

if TYPE_CHECKING:
    from cvfp_opt.api.adopting import adopt as adopt
    from cvfp_opt.api.dashboard import dashboard as dashboard
    from cvfp_opt.api.fleet import drain_worker as drain_worker
    from cvfp_opt.api.fleet import list_workers as list_workers
    from cvfp_opt.api.fleet import queue as queue
    from cvfp_opt.api.fleet import stop_worker as stop_worker
    from cvfp_opt.api.fleet import work as work
    from cvfp_opt.api.notifying import HookStanding as HookStanding
    from cvfp_opt.api.notifying import events as events
    from cvfp_opt.api.notifying import hooks as hooks
    from cvfp_opt.api.notifying import send_events as send_events
    from cvfp_opt.api.notifying import try_hooks as try_hooks
    from cvfp_opt.api.plan import Plan as Plan
    from cvfp_opt.api.plan import define as define
    from cvfp_opt.api.remote.server import Remote as Remote
    from cvfp_opt.api.remote.server import connect as connect
    from cvfp_opt.api.remote.study import RemoteStudy as RemoteStudy
    from cvfp_opt.api.reproducing import reproduce as reproduce
    from cvfp_opt.api.schemas import schema as schema
    from cvfp_opt.api.search import open as open
    from cvfp_opt.api.search import search as search
    from cvfp_opt.api.search import studies as studies
    from cvfp_opt.api.single import TrainedNetwork as TrainedNetwork
    from cvfp_opt.api.single import load as load
    from cvfp_opt.api.single import thresholds as thresholds
    from cvfp_opt.api.single import train as train
    from cvfp_opt.api.single import verify as verify
    from cvfp_opt.api.study import Study as Study
    from cvfp_opt.api.submitting import submit as submit
    from cvfp_opt.api.tokens import add_token as add_token
    from cvfp_opt.api.tokens import revoke_token as revoke_token
    from cvfp_opt.api.tokens import tokens as tokens
    from cvfp_opt.api.transfer import doctor as doctor
    from cvfp_opt.api.transfer import import_study as import_study
    from cvfp_opt.api.transfer import merge as merge
    from cvfp_opt.api.trial import Trial as Trial
    from cvfp_opt.errors import ArchiveError as ArchiveError
    from cvfp_opt.errors import CheckpointError as CheckpointError
    from cvfp_opt.errors import ClusterError as ClusterError
    from cvfp_opt.errors import CvfpOptError as CvfpOptError
    from cvfp_opt.errors import DataError as DataError
    from cvfp_opt.errors import DefinitionError as DefinitionError
    from cvfp_opt.errors import DeviceError as DeviceError
    from cvfp_opt.errors import NotifyError as NotifyError
    from cvfp_opt.errors import PointError as PointError
    from cvfp_opt.errors import ReportError as ReportError
    from cvfp_opt.errors import SearchError as SearchError
    from cvfp_opt.errors import ServerError as ServerError
    from cvfp_opt.errors import StorageError as StorageError
    from cvfp_opt.errors import StudyChanged as StudyChanged
    from cvfp_opt.errors import StudyError as StudyError
    from cvfp_opt.errors import StudyExists as StudyExists
    from cvfp_opt.errors import StudyMissing as StudyMissing
    from cvfp_opt.errors import TokenError as TokenError
    from cvfp_opt.notify.sender import Sent as Sent
    from cvfp_opt.report.column_table import Table as Table
    from cvfp_opt.report.compare import Comparison as Comparison
    from cvfp_opt.report.confirmation import Confirmation as Confirmation
    from cvfp_opt.report.confirmation import Result as Result
    from cvfp_opt.rerun.loaded import LoadedNetwork as LoadedNetwork
    from cvfp_opt.rerun.repeat import Conditions as Conditions
    from cvfp_opt.service.serving import serve as serve
    from cvfp_opt.store.record.event import Event as Event
    from cvfp_opt.tuning.limits import Limits as Limits
    from cvfp_opt.workers.shares import Workers as Workers

# module -> the names that it gives
_PLACES = {
    "api.adopting": ("adopt",),
    "api.dashboard": ("dashboard",),
    "api.fleet": ("drain_worker", "list_workers", "queue", "stop_worker", "work"),
    "api.notifying": ("HookStanding", "events", "hooks", "send_events", "try_hooks"),
    "api.plan": ("Plan", "define"),
    "api.reproducing": ("reproduce",),
    "api.remote.server": ("Remote", "connect"),
    "api.remote.study": ("RemoteStudy",),
    "api.schemas": ("schema",),
    "api.search": ("open", "search", "studies"),
    "api.single": ("TrainedNetwork", "load", "thresholds", "train", "verify"),
    "api.study": ("Study",),
    "api.submitting": ("submit",),
    "api.tokens": ("add_token", "revoke_token", "tokens"),
    "api.transfer": ("doctor", "import_study", "merge"),
    "api.trial": ("Trial",),
    "errors": (
        "ArchiveError",
        "CheckpointError",
        "ClusterError",
        "CvfpOptError",
        "DataError",
        "DefinitionError",
        "DeviceError",
        "NotifyError",
        "PointError",
        "ReportError",
        "SearchError",
        "ServerError",
        "StorageError",
        "StudyChanged",
        "StudyError",
        "StudyExists",
        "StudyMissing",
        "TokenError",
    ),
    "report.column_table": ("Table",),
    "report.compare": ("Comparison",),
    "report.confirmation": ("Confirmation", "Result"),
    "notify.sender": ("Sent",),
    "rerun.loaded": ("LoadedNetwork",),
    "store.record.event": ("Event",),
    "rerun.repeat": ("Conditions",),
    "service.serving": ("serve",),
    "tuning.limits": ("Limits",),
    "workers.shares": ("Workers",),
}
_MODULES = {name: f"cvfp_opt.{module}" for module, names in _PLACES.items() for name in names}

__all__ = sorted(_MODULES)


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(_MODULES[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
