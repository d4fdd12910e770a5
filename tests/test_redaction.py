"""Passwords in text: as users, drivers and servers write them."""

import pytest

from cvfp_opt.redaction import redacted


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
