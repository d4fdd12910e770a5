"""Study definitions as TOML, for terminals and pages."""

from collections.abc import Iterable, Mapping
from typing import Any

import tomlkit

from cvfp_opt.escaping import printable, toml_escaped
from cvfp_opt.store.record.definition_sections import Sections


def definition_toml(sections: Sections | Mapping[str, Any], comments: Iterable[str] = ()) -> str:
    """Write the sections of a definition, in which nothing but text stands for text.

    Args:
        sections: a recorded definition, or one with a trial's parameters.
        comments: to begin with, a line each.
    """
    document = tomlkit.document()
    for comment in comments:
        document.add(tomlkit.comment(printable(comment)))
    for name, section in sections.items():
        document[name] = section
    return toml_escaped(tomlkit.dumps(document))
