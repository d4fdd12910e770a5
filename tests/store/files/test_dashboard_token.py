"""The dashboard's token: kept as a digest, trusted only where nobody else can have put it."""

import json
import os
import stat
from pathlib import Path

import pytest

from cvfp_opt.errors import StorageError
from cvfp_opt.store.database.location import Location, resolve_location
from cvfp_opt.store.files.dashboard_token import digest_of, load_token, make_token, token_path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "storage" / "dashboard-token.json"


def test_its_digest_is_kept_for_the_owner_only(path: Path) -> None:
    before = os.umask(0)
    try:
        text, made = make_token(path)
    finally:
        os.umask(before)
    assert len(text) >= 43  # 256 bits
    assert text not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_token(path) == made
    assert made.is_of(digest_of(text))
    assert [
        one
        for one in (text[:-1], f"{text}x", "", "é", made.digest.hex())
        if made.is_of(digest_of(one))
    ] == []
    assert list(path.parent.iterdir()) == [path]


def test_another_one_voids_the_first(path: Path) -> None:
    first, _ = make_token(path)
    second, _ = make_token(path)
    token = load_token(path)
    assert token is not None
    assert token.is_of(digest_of(second))
    assert not token.is_of(digest_of(first))


def test_where_it_lies(tmp_path: Path) -> None:
    assert token_path(Location.of_file(tmp_path / "a" / "b.db")).parent == tmp_path / "a"
    server = resolve_location("postgresql://user@host/studies")
    assert token_path(server).parent == tmp_path / "storage"
    assert load_token(token_path(server)) is None


@pytest.mark.parametrize(
    "text",
    [
        *("", "{}", "[]", "null", '{"format": 2}', '{"format": 1, "sha256": "00", "created": 0}'),
        *(
            json.dumps({"format": 1, "sha256": "00" * 32, "created": created})
            for created in (1e300, -1e300, float("nan"), float("inf"), [], 10**400, "x")
        ),
        "[" * 4000,
        '{"a": "' + "x" * 100_000,
    ],
)
def test_what_is_no_token_is_refused(path: Path, text: str) -> None:
    make_token(path)
    path.write_text(text)
    with pytest.raises(StorageError, match="--new-token"):
        load_token(path)


def test_what_is_no_file_is_refused_and_not_waited_for(path: Path) -> None:
    path.parent.mkdir()
    os.mkfifo(path, 0o600)
    with pytest.raises(StorageError, match="--new-token"):
        load_token(path)
    path.unlink()
    path.mkdir()
    with pytest.raises(StorageError, match="--new-token"):
        load_token(path)


def test_one_that_others_could_have_put_there_is_refused(path: Path, tmp_path: Path) -> None:
    make_token(path)
    path.chmod(0o620)
    with pytest.raises(StorageError, match="others than you may write to it"):
        load_token(path)
    path.chmod(0o600)
    real = path.rename(tmp_path / "real.json")
    path.symlink_to(real)
    with pytest.raises(StorageError, match="cannot be read"):
        load_token(path)
    assert json.loads(real.read_text())["format"] == 1
