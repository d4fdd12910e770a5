"""Functions compiled by numba, and cached for the next process where a folder can be written."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from numba import njit
from numba.core.caching import FunctionCache

# Reasons why compiled kernels could not be cached; empty as long as they can.
_unkept: list[str] = []


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


class _Cache(FunctionCache):
    """numba's cache, where neither a full disk nor a damaged file ends a trial."""

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except Exception as error:  # pickle raises anything on a damaged file
            _unkept.append(f"{type(error).__name__}: {error}")
            with suppress(OSError):
                self.flush()  # else the damaged file would stay in the way
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        try:
            super().save_overload(sig, data)
        except Exception as error:
            _unkept.append(f"{type(error).__name__}: {error}")
