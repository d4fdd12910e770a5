"""Databases that are made as a user's are, and not copied."""

import pytest


@pytest.fixture
def tables_from_a_copy() -> None:
    """Let a new file begin empty."""
