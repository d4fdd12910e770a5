"""Tables of token embeddings: read from a safetensors file, checked, layer-normalised."""

import difflib
import os
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor
from torch.nn import functional as F

from cvfp_opt.disk import open_file
from cvfp_opt.errors import DataError, nearest
from cvfp_opt.escaping import listed
from cvfp_opt.training.hub_packages import in_one_line

# Types of numbers that float32 holds; 8-bit floats but for a factor, which the layer norm removes.
_FLOATS = ("F32", "F16", "BF16", "F64", "F8_E4M3", "F8_E5M2")
# Largest number whose squares, summed over a row, stay within float32.
_LARGE = 1e15


def read_table(path: str, tensor: str) -> Tensor:
    """Read one matrix (V, E) of a safetensors file, as float32.

    Args:
        path: path of the file.
        tensor: name of the matrix; empty if there is but one.

    Raises:
        DataError: missing, no regular file, damaged; no such matrix, or not of floats.
    """
    name = f"embedding.path {path}"
    file_path = Path(os.path.expanduser(path))
    open_file(file_path, error=DataError, name=name).close()  # opening a pipe would wait
    with (
        in_one_line(f"{name}: not a safetensors file"),
        safe_open(file_path, framework="pt") as file,
    ):
        names = list(file.keys())
        slices = {one: file.get_slice(one) for one in names}
        shapes = {one: tuple(part.get_shape()) for one, part in slices.items()}
        matrices = [one for one, shape in shapes.items() if len(shape) == 2]
        chosen = _chosen(path, tensor, matrices, shapes)
        kind = slices[chosen].get_dtype()
        if kind not in _FLOATS:
            raise DataError(
                f"{path}: embeddings are floating-point numbers ({', '.join(_FLOATS)}), "
                f"{listed([chosen])} is of type {kind}; bring a file that is not quantised"
            )
        table: Tensor = file.get_tensor(chosen)
        return table.float()


def check_table(table: Tensor, num_tokens: int, embedding_size: int, where: str) -> None:
    """Refuse a table that does not fit the tokenizer or the network, or holds no information.

    Args:
        table: (V, E).
        num_tokens: one more than the tokenizer's largest id.
        embedding_size: E, as the network has it.
        where: it came from, in the user's words.

    Raises:
        DataError: it does not fit.
    """
    rows, width = table.shape
    if rows < num_tokens:
        raise DataError(
            f"{where}: a row for each of the tokenizer's {num_tokens} tokens is required, "
            f"the table has {rows}"
        )
    if width < 2:  # what no network takes
        raise DataError(f"{where}: embeddings of width 2 or more are required, these have {width}")
    if width != embedding_size:
        raise DataError(
            f"{where}: embeddings of width model.embedding_size = {embedding_size} are required, "
            f"these have {width}; type --set model.embedding_size={width}"
        )
    wrong = (~torch.isfinite(table).all(dim=1)).nonzero().flatten()
    if len(wrong):
        raise DataError(
            f"{where}: finite embeddings are required, {len(wrong)} of {rows} rows are not, "
            f"the first is row {int(wrong[0])}"
        )
    if rows > 1 and bool((table == table[0]).all()):
        raise DataError(f"{where}: embeddings that differ are required, all {rows} are the same")


def normalised(table: Tensor) -> Tensor:
    """Layer-normalise each row of a finite (V, E) table; rows of large numbers in float64."""
    result = F.layer_norm(table, (table.shape[1],))
    large = table.abs().amax(dim=1) > _LARGE
    if bool(large.any()):
        result[large] = F.layer_norm(table[large].double(), (table.shape[1],)).float()
    return result


def _chosen(
    path: str, tensor: str, matrices: list[str], shapes: dict[str, tuple[int, ...]]
) -> str:
    if tensor in matrices:
        return tensor
    if tensor and matrices:
        like = difflib.get_close_matches(tensor, matrices, n=4, cutoff=0.0)
        more = len(matrices) - len(like)
        rest = f" and {more} more" if more else ""
        raise DataError(f"{path}: no matrix {tensor!r}; {nearest(tensor, like)}{rest}")
    if len(matrices) == 1:
        return matrices[0]
    if matrices:
        raise DataError(
            f"{path}: has {len(matrices)} matrices; name one with --set embedding.tensor=NAME "
            f"({listed(matrices)})"
        )
    found = listed((f"{one} of shape {list(shape)}" for one, shape in shapes.items()))
    raise DataError(
        f"{path}: a matrix with a row for each token is required, got {found or 'no tensors'}"
    )
