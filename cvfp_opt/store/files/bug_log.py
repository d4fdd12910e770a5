"""Accounts of bugs: a few files, one for each place where something failed."""

import hashlib
import re
from contextlib import suppress
from pathlib import Path

from cvfp_opt.disk import write_file
from cvfp_opt.errors import StorageError
from cvfp_opt.escaping import printable
from cvfp_opt.redaction import redacted

FOLDER = Path("storage") / "logs"
# Files at most; the oldest goes for a new one. A failing page asks again every few seconds.
MAX_LOGS = 20
MAX_CHARACTERS = 200_000

_CUT = "\n\n[… {} characters are left out here …]\n\n"
_FRAME = re.compile(r'^\s*File ".*", line \d+.*$', re.MULTILINE)


def write_bug_log(text: str) -> Path:
    """Write an account to a file under ``storage/logs`` in the current folder.

    An account of the same fault, which has the same frames in its trace, takes the place of the
    one before.

    Returns:
        The file's path.

    Raises:
        StorageError: it cannot be written.
    """
    try:
        FOLDER.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise StorageError(f"{FOLDER}: cannot be made here: {error.strerror}") from None
    shown = printable(redacted(_shortened(text)), keep="\n\t")
    fault = "\n".join(_FRAME.findall(shown)) or shown
    digest = hashlib.sha256(fault.encode()).hexdigest()[:12]
    path = FOLDER / f"bug-{digest}.log"
    write_file(path, shown, error=StorageError)
    _remove_oldest()
    return path


def _shortened(text: str) -> str:
    """Shorten to the beginning and the end, which have the command and the fault."""
    over = len(text) - MAX_CHARACTERS
    if over <= 0:
        return text
    half = MAX_CHARACTERS // 2
    return text[:half] + _CUT.format(over) + text[-half:]


def _remove_oldest() -> None:
    def written(path: Path) -> float:
        try:
            return path.stat().st_mtime
        except OSError:  # gone: another process removes them too
            return 0.0

    for path in sorted(FOLDER.glob("bug-*.log"), key=written)[:-MAX_LOGS]:
        with suppress(OSError):
            path.unlink()
