"""Lines and tables that fit the width of a terminal.

No figure is cut and no word is broken: text goes on in a next line between two words, a table
leaves out whole columns, the least important ones first, or stands as blocks below each other. A
command within a sentence is one word: it can be copied.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, JustifyMethod, RenderableType
from rich.style import Style
from rich.table import Table
from rich.text import Text

from cvfp_opt.escaping import listed, printable

GAP = 2
# Text that may take several lines gets a column of so many cells at least.
_FLOWING = 24
# Where what follows a label begins: after two spaces or more.
_LABEL = re.compile(r"^( *\S+(?: \S+)*? {2,})(?=\S)")
_WORD = re.compile(r"""(?:[^\s'"\\]|'[^']*'|"[^"]*"|\\.|['"\\])+""")
# A word of a sentence, with the space before it: what stands in backticks or quotes is one. A
# quote begins after a space or bracket, and so no apostrophe is one.
_SPACED = re.compile(
    r"""(\s*)((?:`[^`]+`|(?<![^\s(\[=,:])'[^']+'(?!\w)|(?<![^\s(\[=,:])"[^"]+"(?!\w)|\S)+)"""
)
_COMMAND = re.compile(r"`[^`]+`")
_OPTION = re.compile(r"(?<=\s)(--\S+) (?!-)(\S)")


def cells(word: str) -> int:
    """Count the cells that a text takes on a terminal: a Chinese character takes two."""
    return len(word) if word.isascii() else cell_len(word)


def wrapped(line: str, width: int | None) -> list[str]:
    """Break a line between words, so that it fits a width; longer words stay whole.

    A command in backticks, or a quotation, is one word where it fits in a line; else a command
    goes on after a backslash, so that it can be copied all the same. What goes on stands below
    the text that follows a label, where all its words have room there, or a little to the right
    of the label.

    Args:
        line: without line feeds.
        width: in cells; None for a log, where every line stays one.
    """
    if width is None or cells(line) <= width:
        return [line]
    found = _LABEL.match(line)
    indent = cells(found[1]) if found else 0
    pieces = list(_pieces(line, width - indent))
    if not 0 < indent <= width // 2 or any(cells(word) > width - indent for _, word in pieces):
        indent = len(line) - len(line.lstrip()) + 2
        pieces = list(_pieces(line, width - indent))
    lines: list[str] = []
    current = ""
    for space, word in pieces:
        if current.strip() and (space == "\n" or cells(current + space + word) > width):
            lines.append(current)
            current = " " * indent + word
        else:
            current += space + word
    return [*lines, current]


def _pieces(line: str, room: int) -> Iterator[tuple[str, str]]:
    """Yield the words of a line that are not to be broken, each with the space before it.

    That of a word which has to begin a line is a line feed.
    """
    for space, word in _SPACED.findall(line):
        if cells(word) <= room:
            yield space, word
        elif _COMMAND.search(word):
            first, *others = _parts_of(word, room)
            yield space, first
            yield from (("\n", other) for other in others)
        else:
            yield from re.findall(r"(\s*)(\S+)", space + word)


def typed(label: str, command: str, width: int | None, *, room: int = 0) -> list[str]:
    """Write a command after what it is for, so that it can be copied from a narrow terminal.

    Where it does not fit beside its label, it stands below, and goes on after a backslash.

    Args:
        label: what it is for.
        command: of a shell.
        width: in cells; None for a log.
        room: cells of the label's column.
    """
    line = f"{label:<{room}}{command}"
    if width is None or cells(line) <= width:
        return [line]
    first, *others = _parts_of(command, width - 4)
    lines = [f"  {first}", *(f"    {one}" for one in others)]
    return [label.rstrip(), *lines]


def _parts_of(command: str, room: int) -> list[str]:
    """Cut a command into parts of so many cells, each but the last one with a backslash.

    A quoted word stays whole, and an option with its value.
    """
    words = (word.replace(" ", "\0") for word in _WORD.findall(command))
    joined = _OPTION.sub(r"\1\0\2", " ".join(words))
    parts: list[str] = []
    for word in joined.split(" "):
        if parts and cells(f"{parts[-1]} {word} \\") <= room:
            parts[-1] += f" {word}"
        else:
            parts.append(word)
    parts = [part.replace("\0", " ") for part in parts]
    return [*(f"{part} \\" for part in parts[:-1]), parts[-1]]


@dataclass(frozen=True)
class Part:
    """A piece of a line.

    Attributes:
        text: of it.
        importance: where there is no room for a part, it and those of a lower one are left out.
    """

    text: str
    importance: float = 0


def fitting_parts(parts: Sequence[Part], width: int | None) -> str:
    """Join the parts that have room, in their order; the most important one is always there."""
    chosen: list[int] = []
    for place in sorted(range(len(parts)), key=lambda place: -parts[place].importance):
        if not parts[place].text:
            continue
        line = (" " * GAP).join(parts[i].text for i in sorted([*chosen, place]))
        if chosen and width is not None and cells(line) > width:
            break  # a shorter one in its place would be there in some lines and not in others
        chosen.append(place)
    return (" " * GAP).join(parts[place].text for place in sorted(chosen))


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Columns side by side.

    Attributes:
        places: of the columns that are shown, ascending.
        widths: of them, in cells.
        without: places of the columns that have no room.
    """

    places: Sequence[int]
    widths: Sequence[int]
    without: Sequence[int]


def lay_out(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    width: int,
    *,
    flowing: Collection[int] = (),
    least: Sequence[int] = (),
) -> Layout | None:
    """Choose the columns that have room side by side; None where those that must be have none.

    Args:
        columns: their headings, which may take several lines.
        rows: the words of the cells.
        width: of a line in cells.
        flowing: places of the columns whose text may take several lines.
        least: places of the columns that may be left out, the first one first.
    """
    chosen = [place for place in range(len(columns)) if place not in least]
    for at_least in (_FLOWING, 0):
        narrow = _narrow(columns, rows, flowing, at_least)
        room = width - sum(narrow[place] + GAP for place in chosen) + GAP
        if room >= 0:
            break
    else:
        return None
    for place in reversed(least):
        room -= narrow[place] + GAP
        if room < 0:  # nor is there for any of less importance
            room += narrow[place] + GAP
            break
        chosen.append(place)
    whole = [_widest([name, *(row[i] for row in rows)]) for i, name in enumerate(columns)]
    widths = {place: narrow[place] for place in sorted(chosen)}
    for place in sorted(widths, key=lambda place: place in flowing):
        more = min(room, whole[place] - widths[place])
        widths[place] += more
        room -= more
    return Layout(
        places=list(widths),
        widths=list(widths.values()),
        without=[place for place in range(len(columns)) if place not in widths],
    )


def _narrow(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    flowing: Collection[int],
    at_least: int,
) -> list[int]:
    """Give the least width of each column: of its heading's words, and of whole cells or words."""
    found = []
    for place, name in enumerate(columns):
        body = [row[place] for row in rows]
        width = _widest(body)
        if place in flowing:
            width = max(min(width, at_least), _widest([w for cell in body for w in cell.split()]))
        found.append(max(width, _widest(name.split())))
    return found


def _widest(words: Iterable[str]) -> int:
    return max(map(cells, words), default=0)


@dataclass(frozen=True, kw_only=True)
class FittedTable:
    """A table that is drawn as wide as there is room at the moment.

    Attributes:
        columns: headings.
        rows: cells, printable ones; a colour is kept.
        title: written above; "" for none.
        left: places of the columns that stand to the left; figures stand to the right.
        flowing: places of the columns whose text may take several lines.
        least: places of the columns that may be left out, the first one first. Where the others
            have no room either, each row is a block of lines.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[Text]]
    title: str = ""
    left: Collection[int] = ()
    flowing: Collection[int] = ()
    least: Sequence[int] = ()

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[RenderableType]:
        width = options.max_width
        if self.title:
            yield from _lines(self.title, width, "bold")
        rows = [[cell.plain for cell in row] for row in self.rows]
        layout = lay_out(self.columns, rows, width, flowing=self.flowing, least=self.least)
        if layout is None:
            yield from self._blocks(width)
            return
        yield self._table(layout)
        if without := [name for place in layout.without if (name := self.columns[place])]:
            yield from _lines(f"no room for {listed(without, most=len(without))}", width, "dim")

    def _table(self, layout: Layout) -> Table:
        table = Table(box=None, pad_edge=False)
        for place, width in zip(layout.places, layout.widths, strict=True):
            justify: JustifyMethod = "left" if place in self.left else "right"
            table.add_column(Text(self.columns[place]), justify=justify, width=width)
        for row in self.rows:
            table.add_row(*(self._cell(row[place], place) for place in layout.places))
        return table

    def _cell(self, text: Text, place: int) -> Text:
        cell = text.copy()
        # a flowing column has room for its longest word; all others, for all
        cell.no_wrap, cell.overflow = place not in self.flowing, "fold"
        return cell

    def _blocks(self, width: int) -> Iterator[Text]:
        """Draw a line for each cell, by its heading, and a blank one between two rows."""
        room = min(_widest(self.columns), width // 2)
        for place, row in enumerate(self.rows):
            if place:
                yield Text()
            for name, cell in zip(self.columns, row, strict=True):
                label = name + " " * (room - cells(name) + GAP)
                yield from _lines((label + cell.plain).rstrip(), width, cell.style)


def _lines(line: str, width: int, style: str | Style) -> Iterator[Text]:
    for one in wrapped(printable(line), width):
        yield Text(one, style, no_wrap=True, overflow="ignore")
