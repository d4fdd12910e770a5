"""Functions compiled by numba, and cached for the next process where a folder can be written."""

import hashlib
import inspect
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from numba import njit
from numba.core.caching import FunctionCache
from numpy.typing import NDArray

Array = NDArray[Any]

# `fastmath` of kernels that sum: sums may be reordered, else nothing is vectorised; NaN and
# infinity keep their meaning.
FAST = {"reassoc", "contract", "nsz", "arcp"}

# Reasons why compiled kernels could not be cached; empty as long as they can.
_unkept: list[str] = []
# Names of the kernels that this process has compiled, and not found in the cache.
_compiled: list[str] = []


def kernel(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Compile a function as ``numba.njit(cache=True)`` does, wherever the package is installed.

    numba raises where it finds no folder that can be written (a read-only installation and home),
    and where the disk is full in the middle of a run; then the function is compiled in memory.
    """

    def decorate(function: Callable[..., Any]) -> Any:
        compiled = njit(**options)(function)
        if hasattr(compiled, "enable_caching"):  # not where numba is switched off
            try:
                compiled._cache = _Cache(function)
            except (RuntimeError, OSError) as error:  # "no locator available"
                _unkept.append(str(error))
        return compiled

    return decorate


def why_unkept() -> str:
    """Say why each process compiles the kernels anew; "" where they are cached."""
    return _unkept[-1] if _unkept else ""


def num_compiled() -> int:
    """Count the kernels that this process has compiled, of those that can be cached."""
    return len(_compiled)


class _Cache(FunctionCache):
    """numba's cache, where neither a full disk nor a damaged file ends a trial.

    numba compares the file of a kernel alone. A kernel also holds the code of those that it calls
    in other modules, so their sources belong to the key.
    """

    def _index_key(self, sig: Any, codegen: Any) -> tuple[Any, ...]:
        folder = Path(inspect.getfile(self._py_func)).parent
        return (*super()._index_key(sig, codegen), _sources_digest(folder))

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except Exception as error:  # pickle raises anything on a damaged file
            _unkept.append(f"{type(error).__name__}: {error}")
            with suppress(OSError):
                self.flush()  # else the damaged file would stay in the way
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        _compiled.append(self._name)
        try:
            super().save_overload(sig, data)
        except Exception as error:
            _unkept.append(f"{type(error).__name__}: {error}")


@cache
def _sources_digest(folder: Path) -> str:
    """Return the SHA-256, hexadecimal, of all modules of a folder that have to do with kernels."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.py")):
        source = path.read_bytes()
        if b"kernel(" in source:
            digest.update(source)
    return digest.hexdigest()
