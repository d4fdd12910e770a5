"""Commands in groups, by what somebody wants to do."""

from collections.abc import Mapping, Sequence

import click

SECTIONS: Mapping[str, Sequence[str]] = {
    "Search": ("run", "train", "trial"),
    "Look": ("status", "best", "list", "report", "plot", "compare", "dashboard"),
    "Believe": ("confirm", "thresholds", "verify"),
    "Hand on": ("study",),
    "Operate": ("submit", "worker", "queue", "serve", "token", "notify", "events", "schema"),
    "Reproduce": ("reproduce",),
}
_OTHERS = "Others"
# Characters of a command's first sentence, none of which is longer.
_SENTENCE = 200


class SectionedGroup(click.Group):
    """A group whose help lists commands by SECTIONS; one that is in none stands at the end."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write a list for each section that has commands."""
        placed = [name for names in SECTIONS.values() for name in names]
        others = [name for name in self.commands if name not in placed]
        for section, names in {**SECTIONS, _OTHERS: others}.items():
            commands = [(n, self.commands[n]) for n in names if n in self.commands]
            rows = [(name, one.get_short_help_str(_SENTENCE)) for name, one in commands]
            if rows:
                with formatter.section(section):
                    formatter.write_dl(rows)
