"""Text from elsewhere, per medium: against the real shell, and over odd texts."""

import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cvfp_opt.escaping import (
    csv_cell,
    excerpt,
    listed,
    markdown,
    markdown_block,
    printable,
    quoted,
    release_of,
)

ODD = st.text(st.one_of(st.sampled_from("\x1b\n\r\t'\"\\ $`;#\u202e\u200b\x9b"), st.characters()))


@given(ODD)
def test_nothing_reaches_a_terminal_but_text(text: str) -> None:
    shown = printable(text)
    assert not any(c in shown for c in "\x1b\x9b\n\r\t\u202e\u200b\u2028")
    shown.encode("utf-8")


def test_plain_text_stays_as_it_is() -> None:
    assert printable("é 🧪 可 👩‍🔬 a-b") == "é 🧪 可 👩‍🔬 a-b"
    assert printable("a\nb", keep="\n") == "a\nb"
    assert printable("a\x1b[2J") == "a\\x1b[2J"
    assert quoted("quick") == "quick"


@given(ODD)
def test_a_command_is_one_line_without_escapes(text: str) -> None:
    assert "\x1b" not in quoted(text)
    assert "\n" not in quoted(text)


@pytest.mark.parametrize(
    "text",
    ["lr; touch PWNED #1", "a'b", "$(touch PWNED)", "a\nb", "\x1b]0;x\x07", "-x", "", "é\t'"],
)
def test_bash_gets_the_very_text(text: str) -> None:
    command = f"printf %s {quoted(text)}" if text != "-x" else f"printf -- %s {quoted(text)}"
    out = subprocess.run(["bash", "-c", command], capture_output=True, check=True)
    assert out.stdout.decode() == text


@pytest.mark.parametrize("cell", ["=1+2", "+cmd|x", "-x", "@SUM(A1)", "\t=1", "-1+2"])
def test_a_spreadsheet_sees_text_not_a_formula(cell: str) -> None:
    assert csv_cell(cell) == f"'{cell}"


@pytest.mark.parametrize("cell", [-1.5, "-1.5", "+2", "-inf", "-1e-05", "text", None, ""])
def test_numbers_and_plain_text_stay(cell: object) -> None:
    assert csv_cell(cell) == cell


@pytest.mark.parametrize("version", ["0.2.0", "3", "1.0rc1", "2.0.dev3", "1.2.post1"])
def test_a_version_goes_into_a_command(version: str) -> None:
    assert release_of(version) == version


@pytest.mark.parametrize(
    "version",
    [
        "",
        "0.9 evil",
        "0.9;id",
        "0.9\n",
        "-r x",
        "1.0+evil",
        "v1",
        "1..2",
        "\u0663",
        "9" * 99,
        1.0,
        None,
    ],
)
def test_nothing_else_goes_there(version: object) -> None:
    assert release_of(version) == ""


def test_of_many_names_some_are_said() -> None:
    assert listed(["a"]) == "a"
    assert listed("abc") == "a, b, c"
    assert listed(["a\x1b", *map(str, range(147))]) == "a\\x1b, 0, 1, 2 and 144 more"


def test_a_long_text_is_said_in_part() -> None:
    assert excerpt("a\nb\x1b") == "a b\\x1b"
    assert excerpt("x" * 9999 + "end", 30) == "x" * 20 + " ... " + "x" * 7 + "end"


def test_markdown_shows_text_as_it_is() -> None:
    assert markdown("a\n<b> *c* [d](e) $f$ `g` | h") == (
        r"a &lt;b&gt; \*c\* \[d\]\(e\) \$f\$ \`g\` \| h"
    )
    assert markdown("0.9 - a|b", readable=True) == r"0.9 - a\|b"
    assert markdown_block("a ```` b", "toml") == ["`````toml", "a ```` b", "`````"]
