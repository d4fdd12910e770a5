"""Definitions as TOML: whatever a stranger's study has in it stays text."""

import re
import tomllib

from hypothesis import given
from hypothesis import strategies as st

from cvfp_opt.report.toml import definition_toml

CONTROL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\xad\u200b\u202e\u2028\u2029\U000e0001]")
ODD = st.text(
    st.one_of(
        st.sampled_from("\x1b\n\r\t\x7f\x85\x9b\xad\u202e\u2028\U000e0001'\"\\#[]="),
        st.characters(exclude_categories=["Cs"]),
    )
)


@given(ODD, ODD.filter(bool), ODD)
def test_text_stays_text_and_means_the_same(value: str, key: str, comment: str) -> None:
    sections = {"data": {"path": value, "choices": [value, "b"]}, "space": {key: {"low": value}}}
    text = definition_toml(sections, [comment])
    assert tomllib.loads(text) == sections
    assert not CONTROL.search(text)


def test_no_value_is_a_line_of_its_own() -> None:
    text = definition_toml({"data": {"path": "x\u2028[diversity]\x85loss = 'notes:loss'"}})
    assert len(text.splitlines()) == 2
