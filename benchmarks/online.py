"""The online trainer, token by token."""

from benchmarks.timing import Result


def online(repeats: int) -> Result:
    raise NotImplementedError
