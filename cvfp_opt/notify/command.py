"""A hook that is a program of this machine, run for each event."""

import os
import signal
import subprocess
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from typing import IO

from cvfp_opt.escaping import excerpt, quoted
from cvfp_opt.notify.hook import Keys, Outcome
from cvfp_opt.store.record.event import Event

KEYS = ("command",)
# So much of the end of what it writes to standard error is kept, for the message.
_TAIL = 500


@dataclass(frozen=True, kw_only=True)
class Command:
    """A program with its arguments; no shell reads them.

    Attributes:
        words: of the command.
    """

    words: tuple[str, ...]

    @property
    def shown(self) -> str:
        """The program; arguments may be secrets."""
        return f"{quoted(self.words[0])}{' …' if len(self.words) > 1 else ''}"

    def deliver(self, event: Event, seconds: float) -> Outcome:
        """Run it with the event as JSON on its standard input; exit code 0 means told."""
        with tempfile.TemporaryFile() as errors:
            try:
                process = subprocess.Popen(
                    self.words,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=errors,
                    env=os.environ | _variables(event),
                    start_new_session=True,  # ^C is not for it; and its children end with it
                )
            except (OSError, ValueError) as error:
                words = getattr(error, "strerror", None) or str(error)
                return Outcome(why=f"{self.shown}: cannot be run: {words}")
            code = _run(process, f"{event.to_json()}\n".encode(), seconds)
            if code == 0:
                return Outcome()
            if code is None:
                return Outcome(why=f"{self.shown}: not done within {seconds:g} s, and ended")
            how = f"exit code {code}" if code > 0 else f"ended by {_signal_name(-code)}"
            words = _end_of(errors)
        return Outcome(why=f"{self.shown}: {how}{f': {words}' if words else ''}")


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal has none
        return f"signal {number}"


def _run(process: "subprocess.Popen[bytes]", body: bytes, seconds: float) -> int | None:
    """Wait for its exit code; None if it had to be ended, with what it has started."""
    with process:
        try:
            process.communicate(body, timeout=seconds)
            return process.wait()
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            return None


def _end_of(file: IO[bytes]) -> str:
    """Read the end of what it wrote, in one line."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _TAIL))
    return excerpt(file.read().decode(errors="replace").strip())


def _variables(event: Event) -> dict[str, str]:
    found = {
        "ID": str(event.id),
        "UUID": event.uuid,
        "KIND": event.kind,
        "STUDY": event.study,
        "TIME": f"{event.time:.3f}",
        "TEXT": event.text,
    }
    return {f"CVFP_OPT_EVENT_{key}": value.replace("\0", "") for key, value in found.items()}


def read_command(keys: Keys) -> Command:
    """Read one of the file's keys. Raises NotifyError."""
    return Command(words=keys.texts("command", required=True))
