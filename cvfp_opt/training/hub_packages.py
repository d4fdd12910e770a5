"""Packages of the extra ``hub``: imported when they are used, their exceptions in one line."""

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from cvfp_opt.errors import CvfpOptError, DataError
from cvfp_opt.escaping import printable


def require(package: str, key: str, *, error: type[CvfpOptError] = DataError) -> ModuleType:
    """Import a package of the extra ``hub``.

    Args:
        package: to import.
        key: what needs it: the message begins with it.
        error: to raise.

    Raises:
        CvfpOptError: of the class ``error``: it is not installed; names the extra.
    """
    try:
        return importlib.import_module(package)
    except ImportError as reason:
        raise error(
            f"{key}: the package {package} is required ({reason}); "
            "type `pip install 'cvfp-opt[hub]'`"
        ) from None


@contextmanager
def in_one_line(problem: str) -> Iterator[None]:
    """Turn whatever a client library raises into a DataError of one line."""
    try:
        yield
    except CvfpOptError:
        raise
    except Exception as error:
        raise DataError(f"{problem}: {first_line(error)}") from None


def first_line(error: Exception) -> str:
    """Return the class of an exception and the first line of its message."""
    words = str(error).strip().splitlines()
    return f"{type(error).__name__}: {printable(words[0])}" if words else type(error).__name__


@contextmanager
def reaching_the_hub(section: str, hub: str, revision: str, instead: str) -> Iterator[None]:
    """Turn what the hub refuses, or that it is out of reach, into a DataError of one line.

    Args:
        section: section of the definition, "data" or "embedding".
        hub: name of the data set or model on the hub.
        revision: commit or branch there.
        instead: words for what the user can bring without a network.
    """
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

    try:
        yield
    except CvfpOptError:
        raise
    except RevisionNotFoundError:
        raise DataError(
            f"{section}.revision: {hub} has no revision {revision!r} on the hub; "
            f"mend it, or leave it empty for the newest: --set {section}.revision="
        ) from None
    except RepositoryNotFoundError:
        raise DataError(
            f"{section}.hub: there is no {hub!r} on the hub, or it is private; mend the name, or "
            f"bring {instead}"
        ) from None
    except Exception as error:  # whatever the client raises without a network
        raise DataError(
            f"{section}.hub: {hub} cannot be reached ({first_line(error)}); "
            f"without a network bring {instead}"
        ) from None
