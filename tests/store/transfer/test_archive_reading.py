"""An export is read only if it is what was written: damaged and hostile files are refused."""

import json
import stat
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from archives import (
    ARTIFACT,
    Artifacts,
    export,
    put_together,
    take_apart,
    with_artifacts,
    write_zip,
)
from dumps import own_study, own_trial

from cvfp_opt.errors import ArchiveError, CvfpOptError, StudyError
from cvfp_opt.store.transfer import safe_zip
from cvfp_opt.store.transfer.archive_reading import Archive
from cvfp_opt.store.transfer.archive_writing import write_archive

Members = dict[str, bytes]


def test_an_artifact_that_changes_after_the_check_is_noticed() -> None:
    dump, artifacts = with_artifacts()
    artifacts[ARTIFACT] = b"curves" * 10**5
    path = Path("s.zip")
    write_archive(path, dump, artifacts, "sqlite:///x.db")
    with Archive.open(path) as archive, archive.open_reader(ARTIFACT) as reader:
        with path.open("r+b") as file:
            file.seek(path.read_bytes().index(b"curves" * 1000))
            file.write(b"C")
        with pytest.raises(ArchiveError, match="damaged"):
            reader.read()


def damaged_member(members: Members) -> Path:
    changed = members["trials.jsonl"].replace(b"0.25", b"0.75")
    return write_zip(Path("x.zip"), members | {"trials.jsonl": changed})


def exchanged_artifact(members: Members) -> Path:
    return write_zip(Path("x.zip"), members | {f"artifacts/{ARTIFACT}": b"curvez" * 100})


def missing_member(members: Members) -> Path:
    del members["mirrors/0.jsonl"]
    return write_zip(Path("x.zip"), members)


def missing_artifact(members: Members) -> Path:
    del members[f"artifacts/{ARTIFACT}"]
    return put_together(Path("x.zip"), members)


def surplus_member(members: Members) -> Path:
    return write_zip(Path("x.zip"), members | {"surplus.json": b"{}"})


def listed_surplus_member(members: Members) -> Path:
    return put_together(Path("x.zip"), members | {"surplus.json": b"{}"})


def climbing_name(members: Members) -> Path:
    return put_together(Path("x.zip"), members | {"artifacts/../../evil": b"x"})


def absolute_name(members: Members) -> Path:
    return put_together(Path("x.zip"), members | {"/tmp/evil": b"x"})


def windows_name(members: Members) -> Path:
    return put_together(Path("x.zip"), members | {"artifacts/..\\evil": b"x"})


def referred_to(name: str) -> Callable[[Members], Path]:
    def build(members: Members) -> Path:
        for part in ("trials.jsonl", "manifest.json"):
            members[part] = members[part].replace(ARTIFACT.encode(), name.encode())
        members[f"artifacts/{name}"] = members.pop(f"artifacts/{ARTIFACT}")
        return put_together(Path("x.zip"), members)

    return build


def link(members: Members) -> Path:
    path = put_together(Path("x.zip"), members)
    with zipfile.ZipFile(path, "a") as file:
        info = zipfile.ZipInfo("artifacts/link")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        file.writestr(info, "/etc/passwd")
    return path


def folder(members: Members) -> Path:
    return write_zip(Path("x.zip"), members | {"artifacts/": b""})


@pytest.mark.filterwarnings("ignore:Duplicate name")
def twice(members: Members) -> Path:
    path = put_together(Path("x.zip"), members)
    with zipfile.ZipFile(path, "a") as file, pytest.warns(UserWarning, match="Duplicate name"):
        file.writestr("study.json", b"{}")
    return path


def bomb(members: Members) -> Path:
    return put_together(Path("x.zip"), members | {"trials.jsonl": b"0" * 2**25})


def compressed_artifact(members: Members) -> Path:
    path = write_zip(Path("x.zip"), {k: v for k, v in members.items() if "artifacts" not in k})
    with zipfile.ZipFile(path, "a") as file:
        file.writestr(f"artifacts/{ARTIFACT}", b"0" * 2**25, zipfile.ZIP_DEFLATED)
    return path


def overlapping(members: Members) -> Path:
    """All artifacts of the directory are one run of bytes of the file."""
    path = put_together(Path("x.zip"), members)
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("artifacts/big", b"0" * 2**16)
        for place in range(100):
            info = zipfile.ZipInfo(f"artifacts/{place}")
            big = file.getinfo("artifacts/big")
            for key in ("header_offset", "file_size", "compress_size", "CRC"):
                setattr(info, key, getattr(big, key))
            file.filelist.append(info)
            file.NameToInfo[info.filename] = info
    return path


def exotic_compression(members: Members) -> Path:
    path = write_zip(Path("x.zip"), {})
    with zipfile.ZipFile(path, "w", zipfile.ZIP_BZIP2) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


def encrypted(members: Members) -> Path:
    path = put_together(Path("x.zip"), members)
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("artifacts/z", b"")
        file.getinfo("study.json").flag_bits |= 1
    return path


def manifest(**changes: Any) -> Callable[[Members], Path]:
    def build(members: Members) -> Path:
        value = json.loads(members["manifest.json"]) | changes
        return put_together(Path("x.zip"), members | {"manifest.json": json.dumps(value).encode()})

    return build


def no_manifest(members: Members) -> Path:
    del members["manifest.json"]
    return write_zip(Path("x.zip"), members)


def no_zip(members: Members) -> Path:
    Path("x.zip").write_bytes(b"no zip file at all")
    return Path("x.zip")


def pickled(members: Members) -> Path:
    """What runs a command where it is unpickled."""
    content = b"cos\nsystem\n(S'touch evil'\ntR.\n"
    return put_together(Path("x.zip"), members | {"study.json": content})


def deep(members: Members) -> Path:
    return put_together(Path("x.zip"), members | {"study.json": b"[" * 10**6 + b"\n"})


def endless_number(members: Members) -> Path:
    content = members["trials.jsonl"].replace(b"0.25", b"1" * 10**5)
    return put_together(Path("x.zip"), members | {"trials.jsonl": content})


def half_a_line(members: Members) -> Path:
    return put_together(Path("x.zip"), members | {"trials.jsonl": members["trials.jsonl"][:-1]})


def no_unicode(members: Members) -> Path:
    content = members["trials.jsonl"].replace(b"<script>", b"\xff\xfe\xfd")
    return put_together(Path("x.zip"), members | {"trials.jsonl": content})


HOSTILE = [
    (damaged_member, "its digest is not the one"),
    (exchanged_artifact, "its digest is not the one"),
    (missing_member, "'mirrors/0.jsonl' is not as manifest.json has it"),
    (missing_artifact, "the artifacts are not those that the trials refer to"),
    (surplus_member, "'surplus.json' is not as manifest.json has it"),
    (listed_surplus_member, "'surplus.json' is not one of an export's"),
    (climbing_name, "the artifacts are not those that the trials refer to"),
    (absolute_name, "'/tmp/evil' is not one of an export's"),
    (windows_name, "not a name that an export gives"),
    (referred_to("../evil"), "an artifact's id: up to 200 letters"),
    (referred_to("/etc/evil"), "an artifact's id: up to 200 letters"),
    (referred_to("CON.txt"), "'CON.txt' names a device"),
    (referred_to(".hidden"), "an artifact's id: up to 200 letters"),
    (link, "a regular file is required"),
    (folder, "a regular file is required"),
    (twice, "a member is there twice"),
    (bomb, "refused as a zip bomb"),
    (compressed_artifact, "not compressed as an export is"),
    (overlapping, "its members overlap; refused as a zip bomb"),
    (exotic_compression, "not compressed as an export is"),
    (encrypted, "encrypted"),
    (manifest(format=3), "written by a newer cvfp-opt (archive format 3"),
    (manifest(format="1"), "a whole number from 1 to 2 is required"),
    (manifest(kind="something else"), "not an export of cvfp-opt"),
    (manifest(counts={"trials": {}, "mirrors": {}, "artifacts": 0}), "is not one of an export's"),
    (manifest(study={"name": "t", "uuid": "a" * 32}), "the study is not the one described"),
    (no_manifest, "this zip file has no manifest.json"),
    (no_zip, "an export of cvfp-opt is required"),
    (pickled, "an export of cvfp-opt is required"),
    (deep, "an export of cvfp-opt is required"),
    (endless_number, "this is none, or damaged: a whole number of 100000 digits"),
    (half_a_line, "the last line is not whole"),
    (no_unicode, "an export of cvfp-opt is required"),
]


@pytest.mark.parametrize(("build", "message"), HOSTILE)
def test_a_hostile_file_is_refused_and_nothing_is_written(
    build: Callable[[Members], Path], message: str, tmp_path: Path
) -> None:
    path = build(take_apart(export()))
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(CvfpOptError) as refused, Archive.open(path):
        pass
    assert message in str(refused.value)
    assert sorted(tmp_path.rglob("*")) == before


def test_more_text_than_is_allowed_is_refused_by_its_declared_size(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = export()
    monkeypatch.setattr(safe_zip, "MAX_TEXT", 1000)
    with pytest.raises(ArchiveError, match="bytes of text are allowed"), Archive.open(path):
        pass


def filling(item: bytes, size: int) -> bytes:
    """A list that takes far more memory than text, and compresses well, but not too well."""
    draw = Random(1)
    parts = [
        b'"%032x",' % draw.getrandbits(128) + item * (1500 // len(item))
        for _ in range(size // 1500)
    ]
    return b"[" + b"".join(parts) + b"0]"


@pytest.mark.parametrize(
    ("name", "head", "item", "tail"),
    [
        ("manifest.json", b'{"missing_artifacts":', b"[],", b"}"),
        ("manifest.json", b'{"missing_artifacts":', b'{"a":{},"b":0},', b"}"),
        ("study.json", b'{"name":"s","user_attrs":', b"[],", b"}\n"),
        ("study.json", b'{"name":"s","user_attrs":', b"00,\n", b"}\n"),
        ("study.json", b'{"name":"s","user_attrs":', b"\n\n", b"}\n"),
        ("trials.jsonl", b'{"number":0,"x":', b'"",', b"}\n"),
        ("trials.jsonl", b'{"number":0,"x":', b"\n", b"}\n"),
    ],
)
def test_a_small_file_cannot_fill_the_memory(
    name: str, head: bytes, item: bytes, tail: bytes
) -> None:
    members = take_apart(export())
    content = head + filling(item, 4_000_000) + tail
    if name == "manifest.json":
        path = write_zip(Path("x.zip"), members | {name: content})
    else:
        path = put_together(Path("x.zip"), members | {name: content})
    assert path.stat().st_size < 200_000
    tracemalloc.start()
    try:
        with pytest.raises(ArchiveError, match="refused as a bomb"), Archive.open(path):
            pass
        assert tracemalloc.get_traced_memory()[1] < 2**25
    finally:
        tracemalloc.stop()


def test_what_a_reader_would_take_for_a_bomb_is_not_compressed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(safe_zip, "FREE_MEMORY", 2**16)
    dump = own_study(own_trial(0, user_attrs={"x": [[]] * 300_000}))
    manifest = write_archive(Path("x.zip"), dump, Artifacts(), "")
    with zipfile.ZipFile("x.zip") as file:
        kinds = {info.filename: info.compress_type for info in file.infolist()}
    assert kinds["trials.jsonl"] == zipfile.ZIP_STORED
    assert manifest.members["trials.jsonl"].size > 1_000_000


def test_a_line_that_would_fill_the_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    path = export()
    monkeypatch.setattr(safe_zip, "MAX_LINE", 100)
    with pytest.raises(ArchiveError, match="a line of over 100 bytes"), Archive.open(path):
        pass


def test_a_study_of_a_newer_version_is_told_from_a_damaged_one() -> None:
    members = take_apart(export())
    study = json.loads(members["study.json"])
    study["user_attrs"]["cvfp_opt:study"]["format"] = 99
    path = put_together(
        Path("x.zip"), members | {"study.json": json.dumps(study).encode() + b"\n"}
    )
    with pytest.raises(StudyError, match="written by a newer cvfp-opt"), Archive.open(path):
        pass
