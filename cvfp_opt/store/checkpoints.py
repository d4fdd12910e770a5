"""Trained networks on disk: a folder with weights (safetensors) and an account of them (JSON)."""

import hashlib
import json
import os
import shutil
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from cvfp_opt.errors import CheckpointError

FORMAT = 1
WEIGHTS = "weights.safetensors"
ACCOUNT = "checkpoint.json"

Weights = dict[str, NDArray[Any]]


@dataclass(frozen=True, kw_only=True)
class Account:
    """What belongs to weights, so that they can be read and believed.

    Attributes:
        definition: the study definition that they were trained by, section by section.
        parameters: the hyperparameters, by the seed's names.
        result: training.result.TrainingResult as plain values: curves, audit, status.
        environment: versions, host, device, threads.
        weights_sha256: of the weights' file.
        format: of the folder.
    """

    definition: dict[str, Any]
    parameters: dict[str, float]
    result: dict[str, Any]
    environment: dict[str, Any]
    weights_sha256: str = ""
    format: int = FORMAT


def check_target(folder: Path) -> None:
    """Refuse a folder that a checkpoint can't be written to.

    Raises:
        CheckpointError: it exists, or the folder that it would lie in does not.
    """
    if folder.exists():
        raise CheckpointError(f"{folder}: exists already; name a new folder")
    if not folder.absolute().parent.is_dir():
        raise CheckpointError(
            f"{folder}: the folder {folder.absolute().parent} does not exist; "
            f"type `mkdir -p {folder.absolute().parent}` first"
        )


def write_checkpoint(folder: Path, weights: Weights, account: Account) -> None:
    """Write both files and then move the folder into place: it is whole or not there.

    Raises:
        CheckpointError: see ``check_target``; or the disk refuses.
    """
    check_target(folder)
    content = save(weights)
    digest = hashlib.sha256(content).hexdigest()
    text = json.dumps(asdict(account) | {"weights_sha256": digest}, indent=1, allow_nan=False)
    try:
        temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.absolute().parent))
    except OSError as error:
        raise CheckpointError(f"{folder}: cannot be written: {error.strerror}") from None
    try:
        (temporary / WEIGHTS).write_bytes(content)
        (temporary / ACCOUNT).write_text(text + "\n", encoding="utf-8")
        os.replace(temporary, folder)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise CheckpointError(f"{folder}: cannot be written: {error.strerror}") from None


def read_checkpoint(folder: Path) -> tuple[Weights, Account]:
    """Read a checkpoint back; nothing in it is ever executed.

    Raises:
        CheckpointError: not there, of a newer format, incomplete, or not what was written.
    """
    try:
        value = json.loads((folder / ACCOUNT).read_text(encoding="utf-8"))
        content = (folder / WEIGHTS).read_bytes()
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise CheckpointError(
            f"{folder}: a folder with {ACCOUNT} and {WEIGHTS} is required: {error}; "
            "`cvfp-opt train --save DIR` writes one"
        ) from None
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        found = value.get("format") if isinstance(value, dict) else None
        raise CheckpointError(
            f"{folder / ACCOUNT}: format {FORMAT} is required, got {found}; "
            "a newer one needs `pip install -U cvfp-opt`"
        )
    try:
        account = Account(**value)
    except TypeError as error:
        raise CheckpointError(f"{folder / ACCOUNT}: not an account: {error}") from None
    if hashlib.sha256(content).hexdigest() != account.weights_sha256:
        raise CheckpointError(
            f"{folder / WEIGHTS}: its digest is not the one in {ACCOUNT}: "
            "truncated, damaged or exchanged; restore the folder from where it came"
        )
    try:
        return load(content), account
    except SafetensorError as error:
        raise CheckpointError(f"{folder / WEIGHTS}: not a safetensors file: {error}") from None
