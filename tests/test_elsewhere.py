"""Text from elsewhere, per medium: against the real shell, and over odd texts."""

import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cvfp_opt.elsewhere import (
    csv_cell,
    excerpt,
    first_few,
    printable,
    quoted,
    redacted,
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
    assert first_few(["a"]) == "a"
    assert first_few("abc") == "a, b, c"
    assert first_few(["a\x1b", *map(str, range(147))]) == "a\\x1b, 0, 1, 2 and 144 more"


def test_a_long_text_is_said_in_part() -> None:
    assert excerpt("a\nb\x1b") == "a b\\x1b"
    assert excerpt("x" * 9999 + "end", 30) == "x" * 20 + " ... " + "x" * 7 + "end"


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("postgresql://me:Secret@host:5433/db", "postgresql://me:***@host:5433/db"),
        ("postgresql+psycopg://:Secret@host/db", "postgresql+psycopg://:***@host/db"),
        ("mysql+pymysql://me:pa@Secret@host/db", "mysql+pymysql://me:***@host/db"),
        ("postgresql://me:p/Sec@ret/@host/db", "postgresql://me:***@host/db"),
        ("postgresql://me:p#Secret%@host/db", "postgresql://me:***@host/db"),
        ("postgresql://me:p?x=Sec@ret@host/db", "postgresql://me:***"),
        ("postgresql://host/db?password=Sec@ret", "postgresql://host/db?***"),
        (
            "postgresql://h/db?password=Secret&sslmode=no",
            "postgresql://h/db?password=***&sslmode=no",
        ),
        ("mysql://h/db?passwd=Secret&charset=utf8", "mysql://h/db?passwd=***&charset=utf8"),
        ("postgresql://h/db?sslpassword=Secret", "postgresql://h/db?sslpassword=***"),
        ("postgresql://h/db?unheard_of=Secret", "postgresql://h/db?unheard_of=***"),
        ("postgresql://h/db?Secret", "postgresql://h/db?***"),
        (
            "postgresql://me:Secret@/db?host=h1:1&host=h2",
            "postgresql://me:***@/db?host=h1:1&host=h2",
        ),
        ("mysql://me:Secret@/db?unix_socket=/s", "mysql://me:***@/db?unix_socket=/s"),
        ("postgresql://me@host/db", "postgresql://me@host/db"),
        ("https://Secret@host/a@b?x=1", "https://***@host/a@b?x=1"),
        ("https://me:Sec/r?e#t@host/a", "https://***@host/a"),
        ("https://me:Sec@ret@host/a@b", "https://***@b"),  # or a part of the password
        ("http://host:8080/a@b", "http://host:8080/a@b"),
        ("http://[::1]:8080/a@b", "http://[::1]:8080/a@b"),
        ("tcp://me:Sec/ret@host:8786", "tcp://***@host:8786"),
        ("s3://key:Sec/ret+@bucket/a", "s3://***@bucket/a"),
        ("postgresql:/me:Secret@host/db", "postgresql:/me:***@host/db"),
        ("https:/me:Secret@host/a", "https:/***@host/a"),
        ("see C:/a?b=1", "see C:/a?b=1"),
        ("sqlite:///a@b/c:d@e.db", "sqlite:///a@b/c:d@e.db"),
        ("host=h password='Se cret' user=me", "host=h password=*** user=me"),
    ],
)
def test_no_password_is_shown(typed: str, shown: str) -> None:
    assert redacted(typed) == redacted(typed, word=True) == shown
    assert redacted(f"cannot use `{typed}`").startswith(f"cannot use `{shown[:9]}")
    assert redacted(shown) == shown


def test_a_long_text_is_redacted_at_once() -> None:
    long = "x" * 1_000_000  # quadratic time would be hours
    assert redacted(long) == redacted(long, word=True) == long
    assert redacted(f"{long} 1mysql://me:Secret@host/db") == f"{long} 1mysql://me:***@host/db"


def test_a_word_of_the_command_line_is_known_as_a_whole() -> None:
    word = "--storage=postgresql://me:Sec ret@host/db"
    assert redacted(word, word=True) == "--storage=postgresql://me:***@host/db"
    told = redacted("invalid address 'me:Sec ret@host/db'", words=["run", word])
    assert told == "invalid address 'me:***@host/db'"
    told = redacted(f"Got unexpected argument ({word})", words=["run", word])
    assert told == "Got unexpected argument (--storage=postgresql://me:***@host/db)"
