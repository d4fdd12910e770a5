"""The hours in which a worker takes trials: ``18-08 Mon-Fri``."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from cvfp_opt.errors import DefinitionError
from cvfp_opt.escaping import excerpt

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_FORM = re.compile(r"(\d{1,2})-(\d{1,2})(?:\s+([A-Za-z]{3})(?:-([A-Za-z]{3}))?)?")


@dataclass(frozen=True, kw_only=True)
class Hours:
    """Hours of some days, by this machine's clock.

    Attributes:
        begin, end: hours of the day; an end before the beginning is on the next day.
        days: on which they begin, Monday is 0.
    """

    begin: int
    end: int
    days: frozenset[int]

    def include(self, moment: datetime) -> bool:
        """Check whether a moment lies in them."""
        today = moment.weekday() in self.days
        yesterday = (moment - timedelta(days=1)).weekday() in self.days
        if self.begin < self.end:
            return today and self.begin <= moment.hour < self.end
        return (today and moment.hour >= self.begin) or (yesterday and moment.hour < self.end)


def read_hours(text: str) -> Hours:
    """Read ``18-08 Mon-Fri`` or ``9-17``.

    Raises:
        DefinitionError: it is neither.
    """
    found = _FORM.fullmatch(text.strip())
    if found is not None:
        begin, end = int(found[1]), int(found[2])
        first, last = (found[3] or "Mon").lower(), (found[4] or found[3] or "Sun").lower()
        if begin < 24 and end <= 24 and begin != end and {first, last} <= set(_DAYS):
            at, to = _DAYS.index(first), _DAYS.index(last)
            days = range(at, to + 1 if at <= to else to + 8)
            return Hours(begin=begin, end=end, days=frozenset(day % 7 for day in days))
    raise DefinitionError(
        f'hours: "18-08 Mon-Fri" (from 18:00 to 8:00 of the next day) or "9-17" is required, got '
        f"{excerpt(repr(text), 60)}"
    )
