"""A published network: from its folder to contexts of any text."""

import hashlib
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from tokenizers import Encoding, Tokenizer
from torch import Tensor

from cvfp_opt.disk import is_there
from cvfp_opt.errors import CheckpointError, DataError
from cvfp_opt.escaping import excerpt, release_of
from cvfp_opt.model.network import ContextNetwork
from cvfp_opt.model.passes import ContextOverflow, sequential_pass, zero_context
from cvfp_opt.report.brief import network_text
from cvfp_opt.report.network import NetworkRecord
from cvfp_opt.rerun.hub_network import fetch, is_name
from cvfp_opt.rerun.network_record import network_record
from cvfp_opt.single.train import load_network
from cvfp_opt.store.files.saved_networks import Account, Checkpoint
from cvfp_opt.training.tokenizer import load_tokenizer, shipped_digest
from cvfp_opt.tuning.definition import StudyDefinition


@dataclass(frozen=True, kw_only=True, repr=False)
class LoadedNetwork:
    """A network with its tokenizer and token embeddings.

    Attributes:
        network: one step, ``c_t = f(x_t, c_{t-1})``: contexts (..., D) and layer-normalised
            embeddings (..., E) -> (..., D); a torch module on the CPU.
        tokenizer: of the package ``tokenizers``.
        table: (V, E) layer-normalised embeddings of its tokens.
        definition: what it was trained by.
        account: metrics, audit, versions, origin, as its folder records them.
        card: the model card, Markdown; "" if it has none.
        revision: the commit of the Hugging Face hub that it is from; "" of a folder.
    """

    network: ContextNetwork
    tokenizer: Tokenizer
    table: Tensor
    definition: StudyDefinition
    account: Account
    card: str
    revision: str = ""

    def __repr__(self) -> str:
        return network_text(self._record())

    def _repr_html_(self) -> str:
        from cvfp_opt.report.html import network_html  # plotly comes with it

        return network_html(self._record())

    def _record(self) -> NetworkRecord:
        return network_record(
            self.account,
            self.definition,
            num_parameters=sum(one.numel() for one in self.network.parameters()),
            num_tokens=len(self.table),
            revision=self.revision,
        )

    def tokens(self, text: str) -> list[str]:
        """Split a text into its T tokens, as the tokenizer spells them.

        Raises:
            CheckpointError: the tokenizer cannot read it.
        """
        spelled: list[str] = self._encoded(text).tokens
        return spelled

    def _encoded(self, text: str) -> Encoding:
        if not isinstance(text, str):
            raise DataError(f"text: one text is required, got {type(text).__name__}")
        try:
            return self.tokenizer.encode(text, add_special_tokens=False)
        except Exception as error:  # of Rust: no narrower class
            raise CheckpointError(
                f"this network's tokenizer can't read the text: {excerpt(error)}"
            ) from None

    def contexts(self, text: str, *, passes: int = 2) -> Tensor:
        """Read a text again and again; return the contexts (T, D) of the last pass, float32.

        Row t is the context after token t. The first pass starts from the zero context, each
        further one from the last context of the pass before it, with the same weights. Where the
        network has a fixed point on the text, more passes change nothing; two are what the audit
        reads.

        Args:
            text: any; at least one token.
            passes: how often it is read; at least 1.

        Raises:
            DataError: no token, or no pass.
            CheckpointError: contexts explode; or its tokenizer cannot read the text, or gives a
                token without embedding.
        """
        if not isinstance(passes, int) or passes < 1:
            raise DataError(f"passes: a whole number from 1 on is required, got {passes!r}")
        ids = self._encoded(text).ids
        if not ids:
            raise DataError("text: at least one token is required, there is none in it")
        if max(ids) >= len(self.table):
            raise CheckpointError(
                f"this network's tokenizer gives the token {max(ids)}, of which it has no "
                f"embedding: it has {len(self.table)}"
            )
        embeddings = self.table[torch.tensor(ids)]  # (T, E)
        start = zero_context(self.network)
        try:
            for _ in range(passes):
                contexts = sequential_pass(self.network, embeddings, start)  # (T, D)
                start = contexts[-1]
        except ContextOverflow as error:
            raise CheckpointError(f"this network can't read the text: {error}") from None
        return contexts


def load(place: str | os.PathLike[str], *, revision: str | None = None) -> LoadedNetwork:
    """Open a network's folder, or where there is none of that name, one of the hub.

    See ``cvfp_opt.load``.
    """
    name = place if isinstance(place, str) else ""
    if not is_name(name) or is_there(Path(name)):
        if revision:
            raise CheckpointError(
                f"{place}: a revision belongs to a network of the Hugging Face hub, named as "
                "user/name, "
                + ("but this is here" if is_there(Path(place)) else "and this is no such name")
                + "; leave revision= out"
            )
        return load_folder(Path(place))
    folder, commit = fetch(name, revision or "")
    try:
        return replace(load_folder(folder), revision=commit)
    except CheckpointError as error:
        raise CheckpointError(
            f"{name} of the hub: {error} (if only the copy here is damaged, remove "
            f"{folder.parents[1]} and load it again)"
        ) from None


def load_folder(path: Path) -> LoadedNetwork:
    """Open a network's folder."""
    network, definition, checkpoint = load_network(path)
    if checkpoint.account.format == 1:
        raise CheckpointError(
            f"{path}: written by a cvfp-opt that left embeddings and tokenizer out; "
            "train it again with this version, `cvfp-opt train --save DIR`"
        )
    tokenizer = _tokenizer(path, checkpoint)
    return LoadedNetwork(
        network=network.requires_grad_(False),
        tokenizer=tokenizer,
        table=_table(path, checkpoint, definition, tokenizer),
        definition=definition,
        account=checkpoint.account,
        card=checkpoint.card,
    )


def _tokenizer(path: Path, checkpoint: Checkpoint) -> Tokenizer:
    known: dict[str, Any] = checkpoint.account.tokenizer
    if not checkpoint.tokenizer:
        if known.get("sha256") != shipped_digest():
            release = release_of(known.get("version"))
            version = f"cvfp-opt {release}" if release else "another cvfp-opt"
            raise CheckpointError(
                f"{path}: the tokenizer that {version} ships is required, this version's is "
                "another" + (f"; type `pip install cvfp-opt=={release}`" if release else "")
            )
        return load_tokenizer()
    if hashlib.sha256(checkpoint.tokenizer.encode()).hexdigest() != known.get("sha256"):
        raise CheckpointError(f"{path}: its tokenizer is not the one that its account names")
    try:
        return Tokenizer.from_str(checkpoint.tokenizer)
    except Exception as error:  # of Rust: no narrower class
        reason = excerpt(error)
        raise CheckpointError(f"{path}: not a tokenizer.json: {reason}") from None


def _table(
    path: Path, checkpoint: Checkpoint, definition: StudyDefinition, tokenizer: Tokenizer
) -> Tensor:
    table, width = checkpoint.embeddings, definition.model.embedding_size
    size = 1 + max(tokenizer.get_vocab(with_added_tokens=True).values(), default=0)
    if table is None or table.ndim != 2 or table.shape[0] < size or table.shape[1] != width:
        found = "none" if table is None else table.shape
        raise CheckpointError(
            f"{path}: embeddings of {size} tokens or more, each of {width} numbers, are required, "
            f"got {found}"
        )
    return torch.from_numpy(table)
