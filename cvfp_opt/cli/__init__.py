"""The command line: parse, one library call, print, exit code.

Command modules import click alone at the top; what is slow to import (torch, optuna) they import
when they run, so that ``--help`` answers at once.
"""

import errno
import io
import os
import platform
import signal
import sys
import traceback
from typing import NoReturn

import click

from cvfp_opt.cli.confirm import confirm
from cvfp_opt.cli.console import echo, print_lines
from cvfp_opt.cli.dashboard import dashboard
from cvfp_opt.cli.notify import events, notify
from cvfp_opt.cli.queue import queue
from cvfp_opt.cli.report import compare, plot, report
from cvfp_opt.cli.reproduce import reproduce
from cvfp_opt.cli.run import run
from cvfp_opt.cli.schema import schema
from cvfp_opt.cli.sections import SectionedGroup
from cvfp_opt.cli.serve import serve
from cvfp_opt.cli.show import best, list_studies, status
from cvfp_opt.cli.streams import guard_streams, lost_output
from cvfp_opt.cli.study import study
from cvfp_opt.cli.submit import submit
from cvfp_opt.cli.thresholds import thresholds
from cvfp_opt.cli.token import token
from cvfp_opt.cli.train import train
from cvfp_opt.cli.trial import trial
from cvfp_opt.cli.verify import verify
from cvfp_opt.cli.worker import worker
from cvfp_opt.errors import CvfpOptError, foreign_fault, unreadable
from cvfp_opt.escaping import printable, quoted
from cvfp_opt.redaction import redacted
from cvfp_opt.tuning.stopping import SearchStopped
from cvfp_opt.version import __version__

USER_ERROR, USAGE_ERROR, BUG, INTERRUPTED = 1, 2, 3, 130


@click.group(
    cls=SectionedGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 99},
    epilog="Example: cvfp-opt run --n-trials 50",
)
@click.version_option(__version__, prog_name="cvfp-opt")
def cli() -> None:
    """Search hyperparameters of the CVFP (Context Vector Fixed-Point) model.

    Every trial is trained, scored and audited, and kept in an Optuna database.
    """
    if gone := _folder_fault():
        raise CvfpOptError(gone)


for command in (
    run,
    submit,
    worker,
    queue,
    train,
    verify,
    reproduce,
    confirm,
    thresholds,
    status,
    best,
    report,
    plot,
    compare,
    list_studies,
    schema,
    dashboard,
    serve,
    token,
    events,
    notify,
    study,
    trial,
):
    cli.add_command(command)


def main() -> NoReturn:
    """Run a command, and turn what it raises into text and an exit code."""
    guard_streams()
    try:
        code = _run()
        _ignore_further_sigint()
    except KeyboardInterrupt:  # in the last moment: an exit code, and not a death by signal
        _ignore_further_sigint()
        code = INTERRUPTED
    lost = lost_output()
    if lost is not None and code in (0, 128 + signal.SIGTERM):
        code = USER_ERROR
        if lost.errno != errno.EPIPE:  # of a reader that went away (head, less) nothing is said
            _complain(f"standard output: cannot be written: {lost.strerror}; the rest was done")
    sys.exit(code)


def _ignore_further_sigint() -> None:
    """Let the process end in peace: half a second may pass until torch is gone."""
    if getattr(sys.modules["__main__"], "main", None) is main:  # or others live on in it
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _run() -> int:
    try:
        _check_words()
        code = cli.main(prog_name="cvfp-opt", standalone_mode=False)
    except click.exceptions.Exit as exit_:
        code = exit_.exit_code
    except SystemExit as exit_:  # a command's own way to say one
        code = exit_.code
    except click.ClickException as error:
        shown = io.StringIO()
        vars(error)["message"] = _typed(error.message)  # which click's types call final
        error.show(shown)
        print_lines(shown.getvalue().expandtabs().rstrip("\n").split("\n"), err=True)
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        code = INTERRUPTED
    except SearchStopped as stopped:
        code = stopped.exit_code
    except CvfpOptError as error:
        _complain(*error.args)
        code = USER_ERROR
    except Exception as error:
        words = foreign_fault(error)
        if words:
            _complain(_folder_fault() or words)
        code = USER_ERROR if words else _report_bug(error)
    return code if isinstance(code, int) else 0


def _complain(*lines: object) -> None:
    first, *others = (redacted(line, words=sys.argv) for line in lines or [""])
    print_lines([f"Error: {first}", *others], err=True)


def _typed(text: str) -> str:
    """Show what click says of the command line, whose words (names of files) are anybody's."""
    text = redacted(text, words=sys.argv)
    for word in sys.argv:
        text = text.replace(word, printable(word)) if word != printable(word) else text
    return text


def _folder_fault() -> str:
    """Say why the current folder, below which most things lie, can't be used; "" if it can."""
    try:
        os.getcwd()
    except OSError as error:
        return (
            f"the current folder: cannot be used: {error.strerror}: it was removed or moved, or "
            "may not be read; type `cd` with another folder first"
        )
    return ""


def _check_words() -> None:
    """Refuse what no name, value or path that is kept or shown can have in it."""
    for word in sys.argv[1:]:
        if odd := unreadable(word):
            raise click.UsageError(f"argument {word!a}: UTF-8 text is required, {odd}")


def _report_bug(error: Exception) -> int:
    from cvfp_opt.store.files.bug_log import write_bug_log

    lines = [
        f"cvfp-opt {__version__}, Python {platform.python_version()}, {platform.platform()}",
        f"command: {' '.join(quoted(redacted(word, word=True)) for word in sys.argv)}",
        "",
        redacted(traceback.format_exc(), words=sys.argv),
    ]
    # what is no UTF-8 (a file's name, say) must not keep the account from being written
    text = "\n".join(lines).encode("utf-8", "backslashreplace").decode()
    _complain(f"this is a bug in cvfp-opt: {type(error).__name__}: {error}")
    try:
        echo(f"Its account is in {write_bug_log(text)}; please report it.", err=True)
    except CvfpOptError:
        click.echo(printable(text, keep="\n\t"), err=True)
    return BUG
