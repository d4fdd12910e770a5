"""The text of a model card without its front matter, which may be edited where it is published."""

import re

# As the hub finds it: between two lines of three hyphens, at the beginning.
_FRONT_MATTER = re.compile(rb"\s*---(?:\r\n|\r|\n)[\S\s]*?(?:\r\n|\r|\n)---[ \t]*(?:\r\n|\n|$)")


def text_below(card: bytes) -> bytes:
    r"""Return what follows the front matter, with line ends ``\n``, without space around it."""
    found = _FRONT_MATTER.match(card)
    return card[found.end() if found else 0 :].replace(b"\r\n", b"\n").strip()
