"""Malicious JSON and zip files: drawn by seed, so the same every time."""

import json
import signal
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from random import Random
from types import FrameType
from typing import Any

from archives import put_together, write_zip

_PLACE = "@@place@@"

# As they stand in a file: most could not be made of Python's own values.
ODD = (
    "[" * 1500 + "]" * 1500,
    '{"a":' * 1500 + "1" + "}" * 1500,
    "[" * 200 + "]" * 200,
    "9" * 400,
    "-" + "9" * 400,
    "9" * 5000,
    "1" + "0" * 399 + ".5",
    "NaN",
    "Infinity",
    "1e999",
    "-1e999",
    "1e-400",
    "1e308",
    "-0.0",
    "2147483648",
    "9223372036854775808",
    "18446744073709551616",
    "-1",
    "0",
    "0.5",
    "true",
    "null",
    "[]",
    "[[]]",
    "{}",
    '""',
    '"\\ud800"',
    '"\\u0000"',
    '"\\u001b]0;x\\u0007\\r\\n"',
    '"' + "x" * 100_000 + '"',
    '"../../evil"',
    '"/etc/passwd"',
    '"os:system"',
    '"0.9 evil-package"',
    '{"a": 1, "a": 2}',
    "[" + "0," * 50_000 + "0]",
    '{"drift": {"keys": {"definition.diversity.loss": "os:system"}}}',
    # no JSON
    "",
    "}",
    "'x'",
    "01",
    "\x00",
)


@contextmanager
def no_longer_than(seconds: int) -> Iterator[None]:
    """Fail, in the place of hanging."""

    def ring(number: int, frame: FrameType | None) -> None:
        raise AssertionError(f"still busy after {seconds} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """All places of a JSON value."""
    if path:
        yield path
    if not isinstance(value, dict | list):
        return
    for key, item in value.items() if isinstance(value, dict) else enumerate(value):
        yield from places(item, (*path, key))


def with_odd(text: str, draw: Random) -> str:
    """A JSON text with something odd in one place: in that of a value, or of a key."""
    value = json.loads(text)
    *way, last = draw.choice(list(places(value)))
    part = value
    for key in way:
        part = part[key]
    odd = draw.choice(ODD)
    action = draw.choice(("value", "value", "value", "key", "gone", "twice"))
    if action == "gone":
        del part[last]
    elif action == "twice" and isinstance(part, list):
        part.append(part[last])
    elif action == "key" and isinstance(part, dict):
        part[_PLACE] = part.pop(last)
        odd = odd if odd.startswith('"') else json.dumps(odd[:2000])
    else:
        part[last] = _PLACE
    return json.dumps(value).replace(f'"{_PLACE}"', odd)


def odd_member(path: Path, members: Mapping[str, bytes], draw: Random) -> None:
    """A zip file that agrees with itself, with one to three odd things in what it tells."""
    changed = dict(members)
    for _ in range(draw.randint(1, 3)):
        name = draw.choice([n for n in changed if n.endswith((".json", ".jsonl"))])
        lines = changed[name].decode("utf-8", "surrogatepass").splitlines()
        try:
            if name.endswith(".jsonl"):
                place = draw.randrange(len(lines))
                lines[place] = with_odd(lines[place], draw)
            else:
                lines = [with_odd("".join(lines), draw)]
        except (ValueError, RecursionError, IndexError):  # odd already
            continue
        changed[name] = "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogatepass")
    try:
        put_together(path, changed)
    except (ValueError, RecursionError, TypeError):  # the manifest itself is odd
        write_zip(path, changed)


def odd_bytes(path: Path, members: Mapping[str, bytes], draw: Random) -> None:
    """A zip file whose own records were changed: lengths, flags, sums, offsets."""
    put_together(path, dict(members))
    content = bytearray(path.read_bytes())
    signatures = (b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06")
    starts = [
        place
        for signature in signatures
        for place in range(len(content) - 4)
        if content[place : place + 4] == signature
    ]
    for _ in range(draw.randint(1, 4)):
        place = min(draw.choice(starts) + draw.randint(4, 46), len(content) - 8)
        lie = draw.choice((0, 1, 0xFFFF, 0xFFFFFFFF, draw.getrandbits(32)))
        struct.pack_into(draw.choice(("<H", "<I")), content, place, lie & 0xFFFF)
        if draw.random() < 0.5:
            struct.pack_into("<I", content, place, lie)
    if draw.random() < 0.3:
        del content[draw.randrange(len(content)) :]
    path.write_bytes(draw.choice((b"", b"", b"MZ" * 1000)) + content)


def odd_names(path: Path, members: Mapping[str, bytes], draw: Random) -> None:
    """A zip file with a member more: a link, a folder, a path, a name twice, a strange packing."""
    put_together(path, dict(members))
    names = (
        *(
            "../../evil",
            "/tmp/evil",
            "artifacts/../evil",
            "artifacts/",
            "a\\b",
            "C:evil",
            "é" * 90,
        ),
        *("study.json", "manifest.json", "trials.jsonl", "artifacts/CON", "x" * 5000, "a\nb"),
    )
    with zipfile.ZipFile(path, "a") as file:
        for _ in range(draw.randint(1, 3)):
            info = zipfile.ZipInfo(draw.choice(names))
            info.external_attr = draw.choice((0o100600, 0o120777, 0o040755, 0o020666)) << 16
            info.compress_type = draw.choice((0, 8, 12, 14))
            if info.filename not in file.NameToInfo:
                file.writestr(info, draw.choice((b"", b"{}", b"0" * 100_000)))
            else:
                file.filelist.append(file.NameToInfo[info.filename])


def swollen(path: Path, members: Mapping[str, bytes], draw: Random) -> None:
    """A zip file that holds far more than its size says."""
    item = draw.choice((b"[],", b'{"a":{}},', b"0,", b"\n", b'"",', b"[[", b'"' + b"x" * 500))
    filler = [b'"%032x",' % draw.getrandbits(128) + item * (900 // len(item)) for _ in range(9000)]
    name = draw.choice(("study.json", "trials.jsonl", "manifest.json"))
    text = b'{"number":0,"x":[' + b"".join(filler) + b"0]}\n"
    write = write_zip if name == "manifest.json" else put_together
    write(path, {**members, name: text})


BUILDERS: tuple[Callable[[Path, Mapping[str, bytes], Random], None], ...] = (
    *(odd_member,) * 6,
    *(odd_bytes,) * 3,
    *(odd_names,) * 2,
    swollen,
)


def odd_archive(path: Path, members: Mapping[str, bytes], seed: int) -> None:
    """An export that somebody has changed, by that seed.

    Args:
        path: to write.
        members: of a good one.
        seed: of all that is drawn.
    """
    draw = Random(seed)
    draw.choice(BUILDERS)(path, members, draw)


def odd_safetensors(draw: Random, content: bytes) -> bytes:
    """A file of arrays with another header, or other lengths."""
    length = int.from_bytes(content[:8], "little")
    header, data = content[8 : 8 + length], content[8 + length :]
    kind = draw.randrange(4)
    if kind == 0:
        header = with_odd(header.decode(), draw).encode("utf-8", "replace")
    elif kind == 1:
        data = data[: draw.randrange(len(data))]
    elif kind == 2:
        return draw.choice((0, 1, 2**31, 2**63 - 1)).to_bytes(8, "little") + content[8:]
    else:
        value = json.loads(header)
        for key in draw.sample(sorted(value), min(3, len(value))):
            value[f"{key}\x1b[2J{zlib.crc32(key.encode())}"] = value.pop(key)
        header = json.dumps(value).encode()
    return len(header).to_bytes(8, "little") + header + data
