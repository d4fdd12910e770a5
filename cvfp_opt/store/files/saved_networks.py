"""Trained networks on disk: a folder with weights (safetensors) and an account of them (JSON).

Since format 2 the folder is enough to use the network: token embeddings and, unless it is the
shipped one, the tokenizer lie beside the weights. Since format 3 the front matter of the card may
be edited: that is where one says a licence. Nothing in the folder is ever executed.
"""

import hashlib
import json
import os
import reprlib
import stat
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from cvfp_opt.disk import check_new, making_folder
from cvfp_opt.errors import CheckpointError
from cvfp_opt.escaping import excerpt, listed
from cvfp_opt.store.database.number_checks import parse_whole
from cvfp_opt.store.files.card_text import text_below

# 2: embeddings, tokenizer and card beside the weights; digests and sizes of all files.
# 3: of the card those of the text below its front matter.
FORMAT = 3
WEIGHTS = "weights.safetensors"
EMBEDDINGS = "embeddings.safetensors"
TOKENIZER = "tokenizer.json"
CARD = "README.md"
ACCOUNT = "checkpoint.json"
FILES = (WEIGHTS, EMBEDDINGS, TOKENIZER, CARD)

# Bytes at most: no network that this program trains comes near.
MAX_FILE = 8 << 30
MAX_ACCOUNT = 16 << 20
_TABLE = "embeddings"
# No number of an account needs more than 64 bits.
_parse_int = partial(parse_whole, max_digits=20)

Weights = dict[str, NDArray[Any]]


@dataclass(frozen=True, kw_only=True)
class Account:
    """An account of weights, by which they can be read and trusted.

    Attributes:
        definition: the study definition that they were trained by, section by section.
        parameters: the hyperparameters, by their names in ``[space]``.
        result: training.result.TrainingResult as plain values: curves, audit, status.
        environment: versions, host, device, threads.
        tokenizer: ``sha256`` of its tokenizer.json, and the ``version`` of cvfp-opt that ships it
            if it is not in the folder; empty in format 1.
        origin: the text's digest and sources, seed and number; study and trial, if it is of one.
        files: ``sha256`` and ``bytes`` of the other files, by name, of the card without its front
            matter (before format 3: with it); empty in format 1.
        weights_sha256: of the weights' file, in format 1.
        format: of the folder.
    """

    definition: dict[str, Any]
    parameters: dict[str, float]
    result: dict[str, Any]
    environment: dict[str, Any]
    tokenizer: dict[str, str] = field(default_factory=dict)
    origin: dict[str, Any] = field(default_factory=dict)
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    weights_sha256: str = ""
    format: int = FORMAT


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """The content of a checkpoint's folder.

    Attributes:
        account: see Account.
        weights: of the network, float32, by name.
        embeddings: (V, E) float32, layer-normalised; None in format 1.
        tokenizer: content of a tokenizer.json; "" if it is the shipped one, or in format 1.
        card: Markdown; "" if nobody wrote one.
    """

    account: Account
    weights: Weights
    embeddings: NDArray[Any] | None = None
    tokenizer: str = ""
    card: str = ""


def check_target(folder: Path) -> None:
    """Refuse a folder that a checkpoint can't be written to.

    Raises:
        CheckpointError: it exists, or the folder that it would lie in does not.
    """
    check_new(folder, error=CheckpointError, instead="name a new folder")


def write_checkpoint(folder: Path, checkpoint: Checkpoint) -> None:
    """Write all files and then move the folder into place: it is whole or not there.

    The account's ``files`` are filled in.

    Raises:
        CheckpointError: see ``check_target``; or the disk refuses.
    """
    check_target(folder)
    contents = {WEIGHTS: save(checkpoint.weights)}
    if checkpoint.embeddings is not None:
        contents[EMBEDDINGS] = save({_TABLE: checkpoint.embeddings})
    if checkpoint.tokenizer:
        contents[TOKENIZER] = checkpoint.tokenizer.encode()
    if checkpoint.card:
        contents[CARD] = checkpoint.card.encode()
    files = {name: _known(name, content) for name, content in contents.items()}
    value = asdict(replace(checkpoint.account, files=files))
    text = json.dumps(value | {"sha256": _digest(value)}, indent=1, allow_nan=False)
    contents[ACCOUNT] = f"{text}\n".encode()
    with making_folder(folder, error=CheckpointError) as temporary:
        for name, content in contents.items():
            (temporary / name).write_bytes(content)


def _known(name: str, content: bytes) -> dict[str, Any]:
    covered = text_below(content) if name == CARD else content
    return {"sha256": hashlib.sha256(covered).hexdigest(), "bytes": len(covered)}


def read_checkpoint(folder: Path) -> Checkpoint:
    """Read a checkpoint back; nothing in it is ever executed.

    Raises:
        CheckpointError: not there, of a newer format, incomplete, or not what was written.
    """
    account = _read_account(folder)
    if account.format == 1:
        content = _read(folder / WEIGHTS, MAX_FILE)
        _check_digest(folder / WEIGHTS, content, account.weights_sha256)
        return Checkpoint(account=account, weights=_arrays(folder / WEIGHTS, content))
    contents = {}
    for name, known in account.files.items():
        if name == CARD and account.format > 2:
            contents[name] = _read_card(folder / name, known["sha256"])
        else:
            contents[name] = _read_known(folder / name, known["bytes"], known["sha256"])
    table = None
    if EMBEDDINGS in contents:
        table = _arrays(folder / EMBEDDINGS, contents[EMBEDDINGS]).get(_TABLE)
    try:
        return Checkpoint(
            account=account,
            weights=_arrays(folder / WEIGHTS, contents[WEIGHTS]),
            embeddings=table,
            tokenizer=contents.get(TOKENIZER, b"").decode(),
            card=contents.get(CARD, b"").decode(),
        )
    except UnicodeDecodeError as error:
        raise CheckpointError(f"{folder}: {TOKENIZER} or {CARD} is not text: {error}") from None


def _read_account(folder: Path) -> Account:
    path = folder / ACCOUNT
    try:
        text = _read(path, MAX_ACCOUNT).decode()
        value = json.loads(text, parse_int=_parse_int, parse_constant=_no_number)
        digest = value.pop("sha256", None) if isinstance(value, dict) else None
        fits = digest == _digest(value)
    except ValueError as error:  # not UTF-8, not JSON, numbers too long
        raise CheckpointError(_required(folder, f"{path.name}: {excerpt(error)}")) from None
    except RecursionError:
        raise CheckpointError(_required(folder, f"{path.name}: nested too deeply")) from None
    found = value.get("format") if isinstance(value, dict) else None
    if type(found) is not int or not 1 <= found <= FORMAT:
        raise CheckpointError(
            f"{path}: a format from 1 to {FORMAT} is required, got {reprlib.repr(found)}; "
            "a newer one needs `pip install -U cvfp-opt`"
        )
    if found > 1 and not fits:
        raise CheckpointError(f"{path}: {_NOT_AS_WRITTEN.format('it')}")
    try:
        account = Account(**value)
    except TypeError as error:
        reason = excerpt(error)
        raise CheckpointError(f"{path}: not an account: {reason}") from None
    problem = _problem(account)
    if problem:
        raise CheckpointError(f"{path}: not an account: {problem}")
    return account


def _problem(account: Account) -> str:
    """Describe what is wrong with an account that has the right keys; "" if nothing is."""
    tables = ("definition", "parameters", "result", "environment", "tokenizer", "origin", "files")
    for name in tables:
        if not isinstance(getattr(account, name), dict):
            return f"{name} is no table"
    if not all(isinstance(section, dict) for section in account.definition.values()):
        return "definition has a section that is no table"
    if account.format == 1:
        return ""
    if WEIGHTS not in account.files:
        return f"{WEIGHTS} is not among its files"
    for name, known in account.files.items():
        if name not in FILES:
            return f"a file {reprlib.repr(name)}"
        if not isinstance(known, dict) or known.keys() != {"sha256", "bytes"}:
            return f"files.{name} has not just sha256 and bytes"
        if type(known["bytes"]) is not int or not 0 <= known["bytes"] <= MAX_FILE:
            return f"files.{name}.bytes"
    return ""


def _no_number(constant: str) -> float:
    raise ValueError(f"{constant} in the place of a number")


def _read_known(path: Path, size: int, sha256: str) -> bytes:
    """Read a file's content, and compare it with size and digest in the account.

    Git and editors give texts the line ends of Windows: those are undone, all else is refused.
    """
    if path.name in (CARD, TOKENIZER):
        content = _read(path, 2 * size)  # each line feed may have become two characters
        if hashlib.sha256(content).hexdigest() != sha256:
            content = content.replace(b"\r\n", b"\n")
    else:
        content = _read(path, MAX_FILE, size)
    _check_digest(path, content, sha256)
    return content


def _read_card(path: Path, sha256: str) -> bytes:
    """Read a card; only what follows its front matter has to be what was written."""
    content = _read(path, MAX_ACCOUNT)
    if hashlib.sha256(text_below(content)).hexdigest() != sha256:
        raise CheckpointError(
            f"{path}: the digest of the text below its front matter is not the one in {ACCOUNT}: "
            "restore that text; edit what stands between the two lines ---, or other files"
        )
    return content.replace(b"\r\n", b"\n")


def _read(path: Path, limit: int, size: int | None = None) -> bytes:
    """Read a file's content, of ``size`` bytes and ``limit`` at most; it looks before it reads."""
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
            known = os.fstat(file.fileno())
            if not stat.S_ISREG(known.st_mode):
                raise CheckpointError(f"{path}: a file is required")
            if known.st_size > limit or (size is not None and known.st_size != size):
                wanted = f"at most {limit}" if size is None else str(size)
                raise CheckpointError(
                    f"{path}: {wanted} bytes are required, it has {known.st_size}: "
                    f"{_NOT_AS_WRITTEN.format('the folder')}"
                )
            return file.read(known.st_size)
    except OSError as error:
        reason = f"{path.name}: {error.strerror}"
        raise CheckpointError(_required(path.parent, reason)) from None


_NOT_AS_WRITTEN = (
    "{} is not what was written: truncated, damaged or exchanged; "
    "restore the folder from where it came"
)


def _required(folder: Path, reason: str) -> str:
    return (
        f"{folder}: a folder with {ACCOUNT} and {WEIGHTS} is required: {reason}; "
        "`cvfp-opt train --save DIR` and `cvfp-opt best --save DIR` write one"
    )


def _check_digest(path: Path, content: bytes, sha256: str) -> None:
    if hashlib.sha256(content).hexdigest() != sha256:
        raise CheckpointError(
            f"{path}: its digest is not the one in {ACCOUNT}: "
            f"{_NOT_AS_WRITTEN.format('the folder')}"
        )


def _digest(value: Mapping[str, Any]) -> str:
    """Compute the SHA-256 of an account without its own digest, hexadecimal."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _arrays(path: Path, content: bytes) -> Weights:
    """Read the float32 arrays of a safetensors file."""
    try:
        arrays = load(content)
    except (SafetensorError, KeyError, ValueError, TypeError) as error:
        reason = excerpt(error)
        raise CheckpointError(f"{path}: not a safetensors file: {reason}") from None
    other = sorted(f"{n} is {a.dtype}" for n, a in arrays.items() if a.dtype != "float32")
    if other:
        raise CheckpointError(f"{path}: float32 is required, {listed(other)}")
    return arrays
