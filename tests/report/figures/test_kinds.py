"""The contract of every figure, for every study: consistent, drawable, a table too."""

import json
import math

import pytest
from known_studies import STUDIES

from cvfp_opt.report.figures.kinds import KINDS


def refuse(name: str) -> None:
    raise AssertionError(f"not JSON: {name}")


@pytest.fixture(scope="module", params=STUDIES)
def known(request: pytest.FixtureRequest) -> object:
    """Each known study in turn."""
    return STUDIES[request.param]()


@pytest.mark.parametrize("kind", KINDS)
def test_every_figure_of_every_study(kind: str, known: object) -> None:
    one = KINDS[kind]
    info = one.info(known)  # type: ignore[arg-type]
    rows = info.rows()
    drawn = one.draw(info)
    plain = json.loads(drawn.to_json(), parse_constant=refuse)
    assert "<script" not in json.dumps(plain)  # plotly takes HTML
    if info.missing:
        assert info.missing.endswith(".")
        assert (info.caption, rows.rows, drawn.data) == ("", (), ())
    else:
        assert info.caption.endswith(".")
        assert rows.rows
        assert drawn.data
    assert rows.formats.keys() <= set(rows.columns)
    for row in rows.rows:
        assert len(row) == len(rows.columns)
        assert not any(isinstance(cell, float) and not math.isfinite(cell) for cell in row)


@pytest.mark.parametrize("name", ["empty", "all pruned", "all failed"])
def test_what_has_no_complete_trial_has_little_to_show(name: str) -> None:
    known = STUDIES[name]()
    there = {kind for kind, one in KINDS.items() if not one.info(known).missing}
    assert there == ({"history"} if name == "all pruned" else set())
