"""Code of the user's own, named ``package.module:function``.

Naming it does nothing: reading a definition or a study never imports it. ``load_function`` does.
"""

import hashlib
import importlib
import inspect
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from cvfp_opt.errors import DefinitionError, nearest

_FORM = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


def is_foreign(name: str) -> bool:
    """Check whether ``name`` has the form ``package.module:function``."""
    return _FORM.fullmatch(name) is not None


def load_function(
    key: str, name: str, signature: str, try_it: Callable[[Callable[..., Any]], Any]
) -> Callable[..., Any]:
    """Import a function of the user's own, and try it.

    Args:
        key: the definition's key that names it, for messages.
        name: ``package.module:function``; the current folder is looked in first.
        signature: the signature that is expected, for messages.
        try_it: calls the function as training will; raises or returns a message if it does not
            fit, None if it does.

    Raises:
        DefinitionError: no such module or function, or it does not fit.
    """
    function_name = name.partition(":")[2]
    module = _import(key, name)
    function: Callable[..., Any] | None = getattr(module, function_name, None)
    if not callable(function):
        functions = [n for n, _ in inspect.getmembers(module, inspect.isfunction)]
        raise DefinitionError(
            f"{key}: {name}: no function {function_name!r} in {module.__file__}; "
            f"{nearest(function_name, functions) if functions else 'it has none'}"
        )
    try:
        problem = try_it(function)
    except Exception as error:  # whatever a stranger's code raises
        problem = f"{type(error).__name__}: {error}"
    if problem is not None:
        raise DefinitionError(f"{key}: {name}: {signature} is required; tried, it gave: {problem}")
    return function


def source_digest(key: str, name: str) -> str:
    """Return the SHA-256, hexadecimal, of the file that a user's function lies in.

    Raises:
        DefinitionError: see ``load_function``.
    """
    module = _import(key, name)
    return hashlib.sha256(Path(inspect.getfile(module)).read_bytes()).hexdigest()


def _import(key: str, name: str) -> ModuleType:
    try:
        with _current_folder_first():
            return importlib.import_module(name.partition(":")[0])
    except Exception as error:  # whatever a stranger's code raises
        raise DefinitionError(
            f"{key}: {name}: cannot be imported: {type(error).__name__}: {error}; the module is "
            "looked for in the current folder and among the installed packages"
        ) from None


@contextmanager
def _current_folder_first() -> Iterator[None]:
    folder = str(Path.cwd())
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)
