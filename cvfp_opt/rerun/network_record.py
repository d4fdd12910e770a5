"""The record of the run that trained a saved network, from the network's account."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from cvfp_opt.escaping import excerpt
from cvfp_opt.model.config import STRICT_THRESHOLD
from cvfp_opt.report.network import NetworkRecord
from cvfp_opt.store.files.saved_networks import Account
from cvfp_opt.store.record.attribute_shapes import is_ours
from cvfp_opt.store.record.definition_sections import completed
from cvfp_opt.store.record.records import TrialRecord
from cvfp_opt.store.record.trial_attributes import StoredScore
from cvfp_opt.training.config import ObjectiveConfig
from cvfp_opt.tuning.definition import StudyDefinition


def network_record(
    account: Account,
    definition: StudyDefinition,
    *,
    num_parameters: int,
    num_tokens: int,
    revision: str = "",
) -> NetworkRecord:
    """Collect what is shown of a network; what is no figure in its account is left out.

    Args:
        account: as its folder has it, which may be anybody's.
        definition: that it was trained by; searches nothing.
        num_parameters: of the network.
        num_tokens: that it has embeddings of.
        revision: of its repository on the hub; "" of a folder.
    """
    iterations = account.result.get("iterations")
    found = {key: account.result.get(key) for key in ("status", "reason", "audit")}
    found["metrics"] = iterations[-1] if isinstance(iterations, list) and iterations else None
    kept: dict[str, Any] = {key: one for key, one in found.items() if is_ours(key, one)}
    steps = account.result.get("optimizer_steps")
    scored = _scored(definition.objective, kept.get("audit", {}), kept.get("metrics", {}))
    trial = TrialRecord(
        number=0,
        state="complete" if scored else "fail",
        value=scored.get("score"),
        scored=scored,
        params=asdict(definition.hyperparameters()),
        environment={"optimizer_steps": steps} if isinstance(steps, int) else {},
        **kept,
    )
    return NetworkRecord(
        trial=trial,
        definition=completed(definition.to_dict()),
        origin=_origin(account.origin),
        num_parameters=num_parameters,
        num_tokens=num_tokens,
        revision=revision,
    )


def _origin(origin: Mapping[str, Any]) -> str:
    if "study" not in origin or "trial" not in origin:
        return ""
    return f"trial {excerpt(origin['trial'], 20)} of study {excerpt(origin['study'], 100)}"


def _scored(
    objective: ObjectiveConfig, audit: Mapping[str, Any], metrics: Mapping[str, Any]
) -> StoredScore:
    """Score recorded figures as ``ObjectiveConfig.scored`` does a result; empty without them."""
    if not audit or not metrics:
        return {}
    if objective.convergence == "frozen":
        read = audit[f"frozen_{objective.split}"]
        strict = objective.threshold == STRICT_THRESHOLD
        rate, rank = (
            read["convergence_strict" if strict else "convergence"],
            read["effective_rank"],
        )
    else:
        prefix = "validation_" if objective.split == "validation" else ""
        rate, rank = metrics[f"{prefix}convergence_rate"], metrics[f"{prefix}effective_rank"]
    score = objective.score(rate, rank)
    return {"convergence_rate": rate, "effective_rank": rank, "score": score}
