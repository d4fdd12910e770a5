"""Measure what contexts are worth on 100 000 tokens, and what the relaxed thresholds cost.

    apt-get download python3.11-doc && dpkg-deb -x python3.11-doc_*.deb docs
    ln -s docs/usr/share/doc/python3.11/html/_sources/whatsnew whatsnew
    python docs/record/downstream.py whatsnew nets
    python docs/record/record.py

The text is "What's New in Python", by its authors, in the order of the files' names. One network a
seed is trained on its first 20 000 tokens; after each pass its weights are kept in the second
folder. A run that stops early at a threshold ends with the weights of the first pass in which 95 %
of the tokens moved less: so one run gives the networks of all thresholds. A linear probe then
learns from 100 000 tokens and is measured on the 20 000 that follow.

The learning rate of the probe is chosen with seed 0, once for the embedding and once for all
contexts: on those of the untrained network. What was computed is kept in the folder, a line a row:
the same command goes on where it was stopped. At the end all rows are written to
``downstream.json``.
"""

import argparse
import contextlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cvfp_opt.model.lyapunov import lyapunov_exponent
from cvfp_opt.model.metrics import (
    convergence_rate,
    effective_rank,
    mean_square,
    residuals,
)
from cvfp_opt.model.ngram import ngram_result
from cvfp_opt.model.passes import sequential_pass, zero_context
from cvfp_opt.model.probe import NextTokens, choose_learning_rate, fit_probe, unigram_result
from cvfp_opt.single.next_token_probe import with_text
from cvfp_opt.training.data import load_tokens
from cvfp_opt.training.events import ignore
from cvfp_opt.training.seeds import Purpose, torch_generator
from cvfp_opt.training.snapshot import Snapshot
from cvfp_opt.training.trainers import TRAINERS
from cvfp_opt.tuning.definition import StudyDefinition
from cvfp_opt.tuning.objective import Objective, never

FIGURES = Path(__file__).parent / "downstream.json"
THRESHOLDS = (1.0, 0.5, 0.2, 0.1)
NET_TOKENS, PROBE_TOKENS = 20_000, 100_000
MIN_CONVERGED_RATIO = 0.95
LAST_PASS = 11
NUM_SEEDS = 3


def definition_of(text: str, seed: int) -> StudyDefinition:
    """Define the network's training: the good point of ``standard``, at a width of 64."""
    return StudyDefinition.from_dict(
        {
            "space": {
                "dist_reg_weight": 0.85,
                "phase1_learning_rate": 0.003,
                "phase1_convergence_threshold": 0.1,
                "layernorm_mix": 1.0,
            },
            "model": {"context_size": 64, "embedding_size": 64},
            "training": {
                "num_iterations": LAST_PASS + 1,
                "learning_rate_schedule": "linear",
                "min_converged_ratio": 1.0,
                "precision": "float32",
                "training_pass": "exact",
                "measuring_pass": "sequential",
            },
            "data": {
                "source": "text",
                "path": text,
                "train_tokens": NET_TOKENS,
                "validation": "held_out",
            },
            "search": {"seed": seed},
        }
    )


class AllTrained(Exception):
    """Nothing of the run is needed any more but its weights."""


class WeightsOfEachPass:
    """A ``Keeper`` that writes the weights of each pass, and how its contexts had moved."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._before: Tensor | None = None
        self._passes: list[dict[str, Any]] = []

    def load(self) -> None:
        """Begin anew."""

    def save(self, snapshot: Snapshot) -> None:
        """Keep the weights that the last pass was read with."""
        k, contexts = snapshot.values["iteration"] - 1, snapshot.tensors["previous.train"]
        self._keep(k, snapshot.below("previous_weights"), contexts)
        if k == LAST_PASS - 1:
            torch.save(_copied(snapshot.below("network")), f"{self._path}-{LAST_PASS}.pt")
            torch.save(contexts, f"{self._path}-contexts.pt")
            self._path.with_suffix(".json").write_text(json.dumps(self._passes))
            raise AllTrained

    def _keep(self, k: int, weights: dict[str, Tensor], contexts: Tensor) -> None:
        torch.save(_copied(weights), f"{self._path}-{k}.pt")
        if self._before is not None:
            self._passes.append({"pass": k, **moved(contexts, self._before)})
        self._before = contexts.clone()


def _copied(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: weight.clone() for name, weight in weights.items()}


def moved(contexts: Tensor, before: Tensor) -> dict[str, Any]:
    """Count the tokens that moved less than each threshold, absolute and scale-free."""
    found, power = residuals(contexts, before), mean_square(contexts)
    return {
        "absolute": {str(t): convergence_rate(found, t) for t in THRESHOLDS},
        "scale_free": {str(t): convergence_rate(found / power, t) for t in THRESHOLDS},
        "power": power,
        "rank": effective_rank(contexts),
    }


def train(objective: Objective, path: Path) -> None:
    """Train a network to its end, unless its weights are there."""
    if path.with_suffix(".json").exists():
        return
    run = objective.prepare({}, 0)
    with contextlib.suppress(AllTrained):
        TRAINERS["batch"](run, ignore, never, WeightsOfEachPass(path))


def stops(passes: list[dict[str, Any]]) -> dict[int, list[str]]:
    """List which networks are those of which thresholds, by the pass that they stop in.

    A run that does not reach its threshold before stops in the last pass.
    """
    found: dict[int, list[str]] = {LAST_PASS: []}
    for t in THRESHOLDS:
        rates = [(p["pass"], p["absolute"][str(t)]) for p in passes]
        reached = (k for k, rate in rates if rate >= MIN_CONVERGED_RATIO)
        found.setdefault(next(reached, LAST_PASS), []).append(str(t))
    found[LAST_PASS].append("never")
    return found


class Rows:
    """The rows of a seed, each written once it is known."""

    def __init__(self, path: Path) -> None:
        self._path = path
        text = path.read_text() if path.exists() else ""
        self.known: list[dict[str, Any]] = [json.loads(line) for line in text.splitlines()]

    def has(self, name: str) -> bool:
        """Check whether a row is known."""
        return any(row["features"] == name for row in self.known)

    def add(self, **row: Any) -> None:
        """Write a row."""
        self.known.append(row)
        with self._path.open("a") as file:
            file.write(f"{json.dumps(row)}\n")
        print(json.dumps(row), flush=True)


class Measurement:
    """The probes of one seed's networks on the long text."""

    def __init__(
        self, text: str, folder: Path, seed: int, first: "Measurement | None" = None
    ) -> None:
        self._path = folder / f"seed-{seed}"
        self._seed = seed
        self.rows = Rows(self._path.with_suffix(".jsonl"))
        # the learning rates of seed 0 are everybody's
        self._first = first.rows if first else self.rows
        definition = definition_of(text, seed)
        self._short = Objective(
            definition=definition, tokens=definition.load_tokens(), device=torch.device("cpu")
        )
        self._network = self._short.prepare({}, 0).network
        tokens = load_tokens(with_text(definition, None, PROBE_TOKENS).data)
        self._digest, self._vocabulary_size = tokens.digest, tokens.vocabulary_size
        self._ids = torch.cat([tokens.train, tokens.held_out])
        self._embeddings = self._short.embeddings(0, seed=seed)[self._ids]  # (T + V, E)
        self._targets = NextTokens(
            train=self._ids[1 : PROBE_TOKENS + 1],
            held_out=self._ids[PROBE_TOKENS + 1 :],
            vocabulary_size=tokens.vocabulary_size,
        )

    def untrained(self) -> None:
        """Measure the embedding, and the network before training."""
        if not self.rows.has("token embedding"):
            self._probe("token embedding", self._embeddings)
        self._network_rows("untrained", {})

    def two_tokens(self) -> None:
        """Measure what the token before tells: as many features as contexts beside embedding."""
        if not self.rows.has("two token embeddings"):
            before = self._embeddings.roll(1, dims=0)
            before[0] = 0.0
            self._probe("two token embeddings", torch.cat([before, self._embeddings], dim=1))

    def trained(self) -> None:
        """Train the network, and measure it as it is at the end."""
        train(self._short, self._path)
        self._at_pass(LAST_PASS)

    def stopped(self) -> None:
        """Measure the network as it is where it stops early, strictest threshold first."""
        for k in sorted(self._stops, reverse=True):
            self._at_pass(k)

    def count(self) -> None:
        """Measure what counting predicts; it has no seed."""
        if not self.rows.has("unigram"):
            found = unigram_result(self._targets)
            self.rows.add(features="unigram", digest=self._digest, **asdict(found))
        if not self.rows.has("3-gram"):
            found = ngram_result(self._ids, PROBE_TOKENS, self._vocabulary_size)
            self.rows.add(features="3-gram", **asdict(found))

    @property
    def _passes(self) -> list[dict[str, Any]]:
        passes: list[dict[str, Any]] = json.loads(self._path.with_suffix(".json").read_text())
        return passes

    @property
    def _stops(self) -> dict[int, list[str]]:
        return stops(self._passes)

    def _at_pass(self, k: int) -> None:
        """Measure the network with the weights of a pass."""
        if self.rows.has(f"pass {k}: contexts beside embedding"):
            return
        weights = torch.load(f"{self._path}-{k}.pt", weights_only=True)
        self._network.load_state_dict(weights)
        at = next((one for one in self._passes if one["pass"] == k), None) or self._last()
        about = {"pass": k, "thresholds": self._stops[k], "training": at}
        self._network_rows(f"pass {k}", about)

    def _last(self) -> dict[str, Any]:
        """Read the last pass of training, with the weights that are loaded."""
        before = torch.load(f"{self._path}-contexts.pt", weights_only=True)
        short = self._embeddings[:NET_TOKENS]
        contexts = sequential_pass(self._network, short, before[-1])
        return {"pass": LAST_PASS, **moved(contexts, before)}

    def _network_rows(self, name: str, about: dict[str, Any]) -> None:
        """Probe the network with the weights that are loaded."""
        if self.rows.has(f"{name}: contexts beside embedding"):
            return
        network, start = self._network, zero_context(self._network)
        contexts = sequential_pass(network, self._embeddings, start)  # (T + V, D)
        generator = torch_generator(self._seed, 0, Purpose.AUDIT)
        about |= {
            "lyapunov": lyapunov_exponent(network, self._embeddings, contexts, generator),
            "rank": effective_rank(contexts[:PROBE_TOKENS]),
            "held_out_rank": effective_rank(contexts[PROBE_TOKENS:]),
            "power": mean_square(contexts),
        }
        if not self.rows.has(f"{name}: contexts"):
            self._probe(f"{name}: contexts", contexts, **about)
        both = torch.cat([contexts, self._embeddings], dim=1)
        self._probe(f"{name}: contexts beside embedding", both, **about)

    def _probe(self, name: str, features: Tensor, **about: Any) -> None:
        text = features[:PROBE_TOKENS], features[PROBE_TOKENS:-1]
        generator = torch_generator(self._seed, 0, Purpose.PROBE)
        source = "token embedding" if "token" in name else "untrained: contexts"
        known = (one["learning_rate"] for one in self._first.known if one["features"] == source)
        rate = next(known, None) or choose_learning_rate(text[0], self._targets, generator)
        found = fit_probe(*text, self._targets, generator, rate)
        self.rows.add(features=name, seed=self._seed, **asdict(found), **about)


def main() -> None:
    """Measure all seeds, what matters most first."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("text", help="folder of the text")
    parser.add_argument("folder", type=Path, help="where weights and rows are kept")
    options = parser.parse_args()
    options.folder.mkdir(exist_ok=True)
    torch.set_num_threads(1)
    first = Measurement(options.text, options.folder, 0)
    others = [Measurement(options.text, options.folder, s, first) for s in range(1, NUM_SEEDS)]
    seeds = [first, *others]
    for one in seeds:
        one.untrained()
        one.trained()
    first.count()
    for one in seeds:
        one.two_tokens()
    for one in seeds:
        one.stopped()
    rows = [row for one in seeds for row in one.rows.known]
    FIGURES.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
