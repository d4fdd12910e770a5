"""The file that names hooks: whose it must be, and what must be in it."""

import os
from pathlib import Path

import pytest
from receiving import SECRET, command, name_hooks, webhook

from cvfp_opt.errors import NotifyError
from cvfp_opt.notify.file import notify_path, read_notify_file
from cvfp_opt.notify.webhook import Webhook
from cvfp_opt.store.database.location import Location, resolve_location

WHOLE = f"""
no_worker_minutes = 5

{webhook("https://ops.example/in", more='events = ["study-done"]')}
{command("pass", more='studies = ["paper-*"]')}
"""


@pytest.fixture
def database() -> Location:
    return resolve_location("x.db")


def test_hooks_are_read(database: Location) -> None:
    name_hooks(WHOLE)
    file = read_notify_file(database)
    ops, desk = file.hooks
    assert file.no_worker_minutes == 5.0
    assert (ops.name, ops.kind, ops.events, ops.studies) == ("ops", "webhook", ("study-done",), ())
    assert (desk.name, desk.events, desk.studies) == ("desk", (), ("paper-*",))
    assert ops.channel == Webhook(url="https://ops.example/in", secret=SECRET)
    assert file.hook("desk") is desk
    with pytest.raises(NotifyError, match=r"notify\.toml: there is no hook 'op'; did you mean"):
        file.hook("op")


def test_without_a_file_there_is_no_hook(database: Location) -> None:
    assert read_notify_file(database).hooks == ()
    name_hooks("")
    assert read_notify_file(database).hooks == ()


def test_the_file_lies_beside_the_database_or_where_a_variable_says(
    database: Location, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert notify_path(database) == Path.cwd() / "notify.toml"
    server = resolve_location("postgresql://u@h/d")
    assert notify_path(server) == Path.cwd() / "storage" / "notify.toml"
    monkeypatch.setenv("CVFP_OPT_NOTIFY", "other.toml")
    with pytest.raises(NotifyError, match=r"other\.toml: there is no such file, but CVFP_OPT_NOT"):
        read_notify_file(database)
    name_hooks(WHOLE, Path("other.toml"))
    for one in (database, server):
        assert len(read_notify_file(one).hooks) == 2


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_may_write_is_refused(database: Location, mode: int) -> None:
    name_hooks(WHOLE).chmod(mode)
    with pytest.raises(NotifyError, match=r"others than you may write to it.*`chmod 600 "):
        read_notify_file(database)


@pytest.mark.skipif(os.geteuid() != 0, reason="only the superuser gives files away")
def test_a_file_of_somebody_else_is_refused(
    database: Location, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.chown(name_hooks(WHOLE), 12345, -1)
    with pytest.raises(NotifyError, match="belongs to another user, who could"):
        read_notify_file(database)
    os.chown("notify.toml", 0, -1)  # what the superuser wrote is trusted by all
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    assert len(read_notify_file(database).hooks) == 2


def test_what_is_no_file_is_refused_and_nobody_waits_for_it(database: Location) -> None:
    os.mkfifo("notify.toml", 0o600)
    with pytest.raises(NotifyError, match="a file is required, this is something else"):
        read_notify_file(database)
    os.unlink("notify.toml")
    os.mkdir("notify.toml", 0o700)
    with pytest.raises(NotifyError, match=r"is required|cannot be read"):
        read_notify_file(database)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("hooks = 3", "hooks: tables such as"),
        ("[hooks]\nops = 3", "hooks: tables such as"),
        ("[hook.ops]", "hook: unknown key; did you mean 'hooks'"),
        ("x = [", "not valid TOML"),
        ("x = " + "[" * 5000, "not valid TOML"),
        ("\xff", "UTF-8 text is required"),
        ("#" * 70_000, "at most 65,536 bytes"),
        ("no_worker_minutes = 0", "no_worker_minutes: a number above 0"),
        ('no_worker_minutes = "5"', "no_worker_minutes: a number above 0"),
        ("[hooks.Ops]", "a name of at most 64 small letters"),
        ("[hooks.ops]", r"hooks\.ops\.kind: a text is required, got nothing"),
        ('[hooks.ops]\nkind = "webhok"', "unknown kind 'webhok'; did you mean 'webhook'"),
        ('[hooks.ops]\nkind = "webhook"', r"ops\.url: a text is required, got nothing"),
        (webhook("ftp://ops.example"), "a URL as https://HOST/PATH, without a user, is req"),
        (webhook("https://u:p@ops.example"), "without a user, is required, got str"),
        (webhook("https://ops.example/a b"), "a URL as"),
        (webhook("https://[x"), "a URL as"),
        (webhook("https://ops.example:0/"), "a URL as"),
        (webhook("https://x", more="timeot = 3"), "timeot: unknown key; did you mean 'timeout'"),
        (webhook("https://x", more="timeout = 61"), "seconds from 0.1 to 60 are required, got 61"),
        (
            webhook("https://x", more='events = ["study-dome"]'),
            "unknown kind 'study-dome'; did you me",
        ),
        (webhook("https://x", more='events = ["test"]'), "events: unknown kind 'test'"),
        (webhook("https://x", more='studies = "a"'), "a list of texts is required, got str"),
        (webhook("https://x", more='secret_env = "X"'), "no second secret beside `secret`"),
        ('[hooks.desk]\nkind = "command"\ncommand = "ls -l"', "a list of texts is required"),
        ('[hooks.desk]\nkind = "command"\ncommand = []', "a list of texts is required"),
        ('[hooks.mail]\nkind = "apprise"\nurls = ["x"]', "a list of URLs of apprise is requi"),
        ("\n".join(f"[hooks.h{i}]" for i in range(21)), "at most 20 hooks are possible, got 21"),
    ],
)
def test_what_is_not_right_is_refused_in_a_line(database: Location, text: str, words: str) -> None:
    name_hooks("").write_bytes(text.encode("latin-1"))
    with pytest.raises(NotifyError, match=words) as refused:
        read_notify_file(database)
    assert str(refused.value).startswith(f"{Path.cwd()}/notify.toml: ")
    assert "\n" not in str(refused.value)
    assert SECRET not in str(refused.value)


def test_a_secret_may_come_from_a_variable(
    database: Location, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = '[hooks.ops]\nkind = "webhook"\nurl = "https://x"\nsecret_env = "OPS_SECRET"'
    name_hooks(text)
    with pytest.raises(NotifyError, match="the variable OPS_SECRET with the secret is required"):
        read_notify_file(database)
    monkeypatch.setenv("OPS_SECRET", SECRET)
    assert read_notify_file(database).hooks[0].channel == Webhook(url="https://x", secret=SECRET)


def test_a_package_that_is_missing_is_named(
    database: Location, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "apprise", None)
    name_hooks('[hooks.mail]\nkind = "apprise"\nurls = ["json://x"]')
    with pytest.raises(NotifyError, match=r"apprise is required .*`pip install 'cvfp-opt\[noti"):
        read_notify_file(database)
