"""Where the account of a bug goes."""

import time
from pathlib import Path

FOLDER = Path("storage") / "logs"


def write_bug_log(text: str) -> Path:
    """Write ``text`` to a new file under ``storage/logs`` in the current folder; its path."""
    FOLDER.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = FOLDER / f"bug-{time.strftime('%Y%m%d-%H%M%S')}-{time.monotonic_ns() % 10**6:06}.log"
    path.write_text(text, encoding="utf-8")
    return path
