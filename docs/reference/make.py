"""Make the reference pages from what they describe.

    pip install griffe
    python docs/reference/make.py

writes ``docs/cli.md`` from the commands, ``docs/configuration.md`` from the sections of a study
definition and ``docs/api.md`` from the docstrings of what ``import cvfp_opt`` offers. A new key
of a definition needs its release in ``since.toml``.
"""

from collections.abc import Callable
from pathlib import Path

import api_page
import cli_page
import configuration_page

PAGES: dict[str, Callable[[], str]] = {
    "cli.md": cli_page.page,
    "configuration.md": configuration_page.page,
    "api.md": api_page.page,
}


def main() -> None:
    """Write all pages."""
    for name, page in PAGES.items():
        (Path(__file__).parent.parent / name).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
