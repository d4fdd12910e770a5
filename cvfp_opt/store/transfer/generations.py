"""Parents of a generation of NSGA-II or NSGA-III, which Optuna keeps by ids of one database.

A dump has the trials' numbers in their place, under another key.
"""

import json
import re
from collections.abc import Mapping
from contextlib import suppress

from cvfp_opt.store.transfer.dump import Texts

_BY_IDS = re.compile(r"\w+:parent:\d+")
_BY_NUMBERS = "cvfp_opt:"


def by_numbers(attrs: Texts, numbers: Mapping[int, int]) -> Texts:
    """Name parents by their numbers; leave out those that are not all there.

    Args:
        attrs: system attributes of a study.
        numbers: of its trials, by id.
    """
    return _renamed(attrs, numbers, "", _BY_NUMBERS)


def by_ids(attrs: Texts, ids: Mapping[int, int]) -> Texts:
    """Name parents by their ids; leave out those that are not all there.

    Args:
        attrs: system attributes of a dump's study.
        ids: of its trials in the database, by number.
    """
    return _renamed(attrs, ids, _BY_NUMBERS, "")


def without_parents(attrs: Texts) -> Texts:
    """Leave out the parents of all generations: Optuna chooses them again."""
    return {
        key: text
        for key, text in attrs.items()
        if not _BY_IDS.fullmatch(key.removeprefix(_BY_NUMBERS))
    }


def _renamed(attrs: Texts, names: Mapping[int, int], before: str, after: str) -> Texts:
    found = dict(without_parents(attrs))
    for key, text in attrs.items():
        name = key.removeprefix(before)
        if key != before + name or not _BY_IDS.fullmatch(name):
            continue
        with suppress(ValueError, TypeError, KeyError):  # another program's, or a trial is gone
            found[after + name] = json.dumps([names[one] for one in json.loads(text)])
    return dict(sorted(found.items()))
