"""Where a search task begins on a Dask worker; in a module that loads at once."""

from typing import TYPE_CHECKING

from cvfp_opt.workers.dask.task import Assignment, has_left, take_payload

if TYPE_CHECKING:
    from cvfp_opt.workers.messages import Message


def search_here(assignment: Assignment) -> "Message":
    """Search with what was received, as a Dask task; return the last of what it tells."""
    from cvfp_opt.workers.dask.search import search  # torch takes seconds

    try:
        return search(take_payload(assignment.run), assignment)
    finally:
        has_left(assignment.key)
