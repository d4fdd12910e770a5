"""The hours in which a worker takes trials."""

from datetime import datetime

import pytest

from cvfp_opt.errors import DefinitionError
from cvfp_opt.workers.hours import read_hours

# 2026-11-27 was a Friday.
FRIDAY, SATURDAY, SUNDAY, MONDAY = (datetime(2026, 11, day) for day in (27, 28, 29, 30))


@pytest.mark.parametrize(
    ("text", "moment", "inside"),
    [
        ("9-17", FRIDAY.replace(hour=9), True),
        ("9-17", SUNDAY.replace(hour=16, minute=59), True),
        ("9-17", FRIDAY.replace(hour=17), False),
        ("18-08 Mon-Fri", FRIDAY.replace(hour=17, minute=59), False),
        ("18-08 Mon-Fri", FRIDAY.replace(hour=18), True),
        ("18-08 Mon-Fri", SATURDAY.replace(hour=7), True),
        ("18-08 Mon-Fri", SATURDAY.replace(hour=18), False),
        ("18-08 Mon-Fri", MONDAY.replace(hour=7), False),
        ("0-24 Sat-Sun", SUNDAY.replace(hour=23), True),
        ("0-24 sat-sun", MONDAY, False),
        ("0-24 Fri-Mon", SUNDAY, True),
        ("0-12 Sun", SUNDAY, True),
        ("0-12 Sun", SATURDAY, False),
    ],
)
def test_a_moment_lies_in_them_or_not(text: str, moment: datetime, inside: bool) -> None:
    assert read_hours(text).include(moment) is inside


@pytest.mark.parametrize("text", ["", "9", "9-9", "25-3", "9-25", "9-17 Someday", "9-17 Mon-"])
def test_what_are_no_hours_is_refused(text: str) -> None:
    with pytest.raises(DefinitionError, match=r'hours: "18-08 Mon-Fri" .* is required, got'):
        read_hours(text)
