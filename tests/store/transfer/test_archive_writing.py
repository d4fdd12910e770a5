"""A study as one file: whole, or not there; what could not be imported is not exported."""

import json
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from archives import (
    ARTIFACT,
    Artifacts,
    export,
    export_confirmed,
    put_together,
    take_apart,
    with_artifacts,
)
from dumps import confirmed, own_study, own_trial, studies
from hypothesis import HealthCheck, given, settings

from cvfp_opt.errors import ArchiveError
from cvfp_opt.store.transfer.archive_reading import Archive
from cvfp_opt.store.transfer.archive_writing import write_archive
from cvfp_opt.store.transfer.dump import Dump, StudyDump

Members = dict[str, bytes]


def test_an_export_holds_the_study_and_its_artifacts() -> None:
    dump, artifacts = with_artifacts()
    with Archive.open(export()) as archive:
        assert archive.dump == dump
        for artifact_id, content in artifacts.items():
            with archive.open_reader(artifact_id) as file:
                assert file.read() == content
        assert archive.manifest.study == {"name": "s", "uuid": "a" * 32}
        assert archive.manifest.counts == {
            "trials": {"COMPLETE": 1, "FAIL": 1, "WAITING": 1},
            "mirrors": {"s/pareto": 1},
            "artifacts": 2,
        }
        assert archive.manifest.source == "sqlite:///x.db"
        assert set(archive.manifest.versions) == {"cvfp-opt", "python", "optuna"}


def test_an_export_holds_the_confirmation_and_is_of_another_format_then() -> None:
    with Archive.open(export_confirmed()) as archive:
        assert archive.dump == confirmed(with_artifacts()[0])
        assert archive.manifest.counts["confirmation"] == 2
    formats = [
        json.loads(take_apart(path)["manifest.json"])["format"]
        for path in (Path("s.cvfp.zip"), export(Path("plain.zip")))
    ]
    assert formats == [2, 1]  # what older versions can read stays readable for them


def confirmation(old: bytes, new: bytes, member: str = "json") -> Callable[[Members], Path]:
    def build(members: Members) -> Path:
        name = f"confirmation.{member}"
        assert old in members[name]
        return put_together(Path("x.zip"), members | {name: members[name].replace(old, new)})

    return build


def missing_confirmation(members: Members) -> Path:
    kept = {k: content for k, content in members.items() if "confirmation" not in k}
    return put_together(Path("x.zip"), kept)


def undeclared_confirmation(members: Members) -> Path:
    value = json.loads(members["manifest.json"])
    del value["counts"]["confirmation"]
    value["format"] = 1
    return put_together(Path("x.zip"), members | {"manifest.json": json.dumps(value).encode()})


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (confirmation(b'"s/confirm"', b'"t/confirm"'), "the confirmation of 's' is required"),
        (confirmation(b'confirms": "s"', b'confirms": "t"'), "the confirmation of 's' is req"),
        (confirmation(b"a" * 32, b"b" * 32), "the confirmation of 's' is required"),
        (confirmation(b'"cvfp_opt:study"', b'"note"'), "a confirmation with a record"),
        (confirmation(b'"changes": {}', b'"changes": []'), "confirmation.json, user_attrs, 'cvf"),
        (confirmation(b'"trial": 0', b'"trial": -1'), "a whole number from 0"),
        (confirmation(b'"seed": 0, "changes"', b'"seed": "x", "changes"', "jsonl"), "line 1"),
        (missing_confirmation, "'confirmation.json' is not one of an export's"),
        (undeclared_confirmation, "'confirmation.json' is not one of an export's"),
    ],
)
def test_a_confirmation_of_something_else_is_refused(
    build: Callable[[Members], Path], message: str
) -> None:
    path = build(take_apart(export_confirmed()))
    with pytest.raises(ArchiveError) as refused, Archive.open(path):
        pass
    assert message in str(refused.value)


@settings(
    deadline=None,
    max_examples=12,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(study=studies())
def test_any_study_passes_through_a_file(study: StudyDump, tmp_path: Path) -> None:
    path = tmp_path / "any.zip"
    write_archive(path, Dump(study=study), Artifacts(), "sqlite:///x.db")
    with Archive.open(path) as archive:
        assert repr(archive.dump) == repr(Dump(study=study))
    path.unlink()


def test_the_same_study_gives_the_same_members_for_its_owner_alone() -> None:
    one, two = take_apart(export(Path("1.zip"))), take_apart(export(Path("2.zip")))
    assert list(one) == list(two)
    assert [name for name in one if one[name] != two[name]] == ["manifest.json"]  # its date
    assert stat.S_IMODE(Path("1.zip").stat().st_mode) == 0o600


def test_artifacts_that_are_gone_are_noted_and_checkpoints_forgotten() -> None:
    dump, _ = with_artifacts()
    write_archive(Path("s.zip"), dump, Artifacts(), "sqlite:///x.db")
    with Archive.open(Path("s.zip")) as archive:
        assert archive.manifest.missing == [ARTIFACT]
        assert archive.dump.artifacts() == {ARTIFACT: True}


@pytest.mark.parametrize("name", ["there.zip", "missing/s.zip"])
def test_a_file_that_cannot_be_written_is_refused(name: str) -> None:
    Path("there.zip").write_bytes(b"precious")
    with pytest.raises(ArchiveError, match=r"exists already|mkdir -p"):
        export(Path(name))
    assert Path("there.zip").read_bytes() == b"precious"


def test_what_could_not_be_imported_is_not_exported(tmp_path: Path) -> None:
    odd = own_study(own_trial(0, user_attrs={"audit": "good"}))
    with pytest.raises(ArchiveError, match=r"s\.zip: trials\.jsonl, line 1, user_attrs, 'audit'"):
        write_archive(Path("s.zip"), odd, Artifacts(), "sqlite:///x.db")
    assert list(tmp_path.iterdir()) == []


def test_a_text_that_compresses_like_a_bomb_is_not_compressed() -> None:
    dump = own_study(own_trial(0, user_attrs={"zeros": "0" * 2**21}))
    write_archive(Path("s.zip"), dump, Artifacts(), "sqlite:///x.db")
    with Archive.open(Path("s.zip")) as archive:
        assert archive.dump == dump
