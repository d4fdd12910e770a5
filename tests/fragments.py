"""Fragments of HTML, read as a notebook reads them."""

from html.parser import HTMLParser

VOID = {"br", "img", "hr", "input", "meta", "link"}
# Elements that a fragment may have: none that runs, loads or links anything.
ALLOWED = {
    *("div", "span", "strong", "table", "thead", "tbody", "tr", "th", "td"),
    *("details", "summary", "svg", "path"),
}


class Reading(HTMLParser):
    """The elements, words and heads of a fragment; raises AssertionError if it is not well nested.

    Attributes:
        elements: names of all elements.
        attributes: names of all attributes.
        paths: what lines of SVG are drawn.
        heads: of the columns of its tables.
        text: without markup, its pieces separated by a space.
    """

    def __init__(self, fragment: str) -> None:
        super().__init__()
        self._open: list[str] = []
        self._pieces: list[str] = []
        self.elements: set[str] = set()
        self.attributes: set[str] = set()
        self.paths: list[str] = []
        self.heads: list[str] = []
        self.feed(fragment)
        self.close()
        assert self._open == []

    @property
    def text(self) -> str:
        return " ".join(" ".join(self._pieces).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.paths += [value or "" for name, value in attrs if name == "d"]
        if tag == "th":
            self.heads.append("")
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self._pieces.append(data)
        if self._open and self._open[-1] == "th":
            self.heads[-1] += data
