"""The model card of a network that is handed on: Markdown, with the audit in plain words."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from cvfp_opt.report.best import TEXTS
from cvfp_opt.report.confirmation import confirmation_line
from cvfp_opt.report.judgement import FIXED_POINT, judge_trial
from cvfp_opt.report.tables import number, parameter, sentence, share
from cvfp_opt.store.record.published import PublishedTrial
from cvfp_opt.store.record.summary import Summary


def describe(summary: Summary, facts: PublishedTrial) -> str:
    """Write the model card of a study's trial, with its judgement and its confirmed figures."""
    return model_card(
        facts,
        judgement=judge_trial(facts.trial, dict(facts.searched), subject="It"),
        confirmed=confirmation_line(summary, trial=facts.trial, hint=False),
    )


def model_card(facts: PublishedTrial, *, judgement: str, confirmed: str = "") -> str:
    """Write the card, ending in a newline. What comes from a user is escaped.

    Args:
        facts: what it tells.
        judgement: one sentence, see report.judgement.
        confirmed: the point on fresh seeds, a line; "" where there can be none.
    """
    parts = [
        _head(facts, judgement, confirmed),
        _use(facts),
        _figures(facts),
        _audit(facts.trial.audit),
        _parameters(facts),
        _origin(facts),
        _limits(),
    ]
    return "\n".join(line for part in parts for line in [*part, ""]).rstrip() + "\n"


def escaped(text: object) -> str:
    """Text that Markdown and HTML show as it is, in one line."""
    line = " ".join(str(text).split())
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|#!~$])", r"\\\1", line)


def code(text: object) -> str:
    """The same as code, also in a table."""
    return "`" + " ".join(str(text).split()).replace("`", "'").replace("|", "/") + "`"


def _head(facts: PublishedTrial, judgement: str, confirmed: str) -> Iterator[str]:
    model = facts.definition["model"]
    yield f"# A CVFP network: trial {facts.trial.number} of study {escaped(facts.study)}"
    yield ""
    if facts.difference:
        yield (
            "> **Not identical.** The study keeps no weights; the trial was trained again from "
            f"its record and ended with others ({escaped(facts.difference)}). All figures below "
            "are of the weights in this folder; the trial's own score was "
            f"{number(facts.recorded_score)}."
        )
        yield ""
    yield f"**{escaped(judgement)}**"
    yield ""
    yield from [f"**{escaped(sentence(confirmed))}**", ""] if confirmed else []
    for notice in facts.notices:
        yield f"- {escaped(notice)}"
    yield from [""] if facts.notices else []
    yield (
        "A CVFP (Context Vector Fixed-Point) network reads a text again and again; the context "
        "vector after each token should come out the same on every pass. This one has "
        f"{model['num_layers']} layers and {facts.num_parameters:,} parameters; it gives a "
        f"context of {model['context_size']} numbers after each token, from token embeddings of "
        f"{model['embedding_size']}."
    )


def _use(facts: PublishedTrial) -> Iterator[str]:
    width = facts.definition["model"]["context_size"]
    yield "## Use"
    yield ""
    yield "```python"
    yield "import cvfp_opt"
    yield ""
    yield f"model = cvfp_opt.load({json.dumps(facts.folder, ensure_ascii=False)})"
    yield f'contexts = model.contexts("any text", passes=2)  # tokens x {width}'
    yield "```"


def _figures(facts: PublishedTrial) -> Iterator[str]:
    trial, objective = facts.trial, facts.definition["objective"]
    yield "## Figures"
    yield ""
    yield "| last pass of training | training text | validation text |"
    yield "|---|---|---|"
    for label, key, show in (
        ("convergence rate", "convergence_rate", share),
        ("effective rank / D", "effective_rank", share),
        ("score", "score", number),
    ):
        metrics = trial.metrics
        yield f"| {label} | {show(metrics[key])} | {show(metrics[f'validation_{key}'])} |"
    yield ""
    where = TEXTS[objective["split"]]
    frozen = objective["convergence"] == "frozen"
    between = "two reads with frozen weights" if frozen else "the last two passes of training"
    yield (
        f"Scored {number(trial.value)} on {where}, between {between}: convergence "
        f"{share(trial.scored.get('convergence_rate'))} at a threshold of "
        f"{parameter(_threshold(facts.definition))}, rank "
        f"{share(trial.scored.get('effective_rank'))}. The untrained net of the same set-up "
        f"scores {number(trial.audit['baseline']['score'])}."
    )


def _threshold(definition: dict[str, Any]) -> Any:
    fixed = definition["objective"]["threshold"]
    own = definition["space"].get("phase1_convergence_threshold")
    return own if fixed == "trial" else fixed


def _audit(audit: dict[str, Any]) -> Iterator[str]:
    yield "## Audit, in plain words"
    yield ""
    yield (
        "The audit measures the finished network on terms that its training could not choose: "
        "each text is read twice with the final weights, and a token counts as converged if its "
        "context moved by less than a tenth of its own power (strictly: a hundredth)."
    )
    yield ""
    yield "| text | converged | strictly | effective rank / D |"
    yield "|---|---|---|---|"
    for label, key in (
        ("it was trained on", "frozen_train"),
        ("validation", "frozen_validation"),
        ("it never saw", "frozen_held_out"),
    ):
        read = audit[key]
        yield (
            f"| {label} | {share(read['convergence'])} | {share(read['convergence_strict'])} | "
            f"{share(read['effective_rank'])} |"
        )
    yield ""
    yield from (f"- {line}" for line in _sentences(audit))


def _sentences(audit: dict[str, Any]) -> Iterator[str]:
    saw, unseen = audit["frozen_train"], audit["frozen_held_out"]
    for words, read in (("text it was trained on", saw), ("text it never saw", unseen)):
        found = read["convergence"]
        claimed = "a" if found >= FIXED_POINT else "no"
        yield f"On {words} it has {claimed} fixed point: {found:.1%} of tokens come out the same."
    lost = 100 * (saw["effective_rank"] - unseen["effective_rank"])
    yield (
        f"The rank on unseen text is {abs(lost):.1f} points {'lower' if lost > 0 else 'higher'}; "
        "that text is also shorter, and fewer tokens span fewer dimensions."
    )
    exponent = audit["lyapunov_exponent"]
    if exponent is None or exponent < 0:
        yield (
            f"It forgets where it started (Lyapunov exponent {number(exponent)} per token): a "
            "small change of the context dies out as it reads on."
        )
    else:
        yield (
            f"It does not forget where it started (Lyapunov exponent {number(exponent)} per "
            "token): a small change of the context grows as it reads on, so two machines may get "
            "other contexts for one text."
        )
    flags = {
        "global_attractor": "all contexts are practically the same",
        "near_zero": "all contexts are practically zero",
        "identity_map": "contexts copy their tokens' embeddings",
    }
    degenerate = [text for flag, text in flags.items() if audit[flag]]
    yield (
        f"**Degenerate: {'; '.join(degenerate)}.**"
        if degenerate
        else "It is not degenerate: contexts differ, do not vanish, and do not copy their tokens."
    )


def _parameters(facts: PublishedTrial) -> Iterator[str]:
    yield "## Hyperparameters"
    yield ""
    yield "| name | value |"
    yield "|---|---|"
    space = {n: v for n, v in facts.definition["space"].items() if v is not None}
    for name, value in (space | facts.trial.params).items():
        chosen = "" if name in facts.trial.params else " (not searched)"
        yield f"| {code(name)} | {escaped(parameter(value, 6))}{chosen} |"
    yield ""
    yield "The whole definition is in `checkpoint.json`."


def _origin(facts: PublishedTrial) -> Iterator[str]:
    data, environment = facts.definition["data"], facts.trial.environment
    versions = environment.get("versions", {})
    counts = ", ".join(f"{n} {state}" for state, n in facts.trials.items() if n)
    yield "## Where it comes from"
    yield ""
    text = _source(facts.sources.get("data", {}))
    yield f"- text: {text}, the first {data['train_tokens']} tokens"
    yield f"- digest of the tokens: `{facts.data_digest}`"
    yield f"- token embeddings: {_source(facts.sources.get('embedding', {}))}, frozen"
    yield f"- seed {facts.identity['seed']}, number {facts.identity['number']}: all that is random"
    yield f"- trial `{facts.identity['uuid']}`" + (f", one of {counts}" if counts else "")
    yield (
        f"- trained with {escaped(', '.join(f'{name} {one}' for name, one in versions.items()))}; "
        f"{escaped(environment.get('device'))}, threads {environment.get('threads')}"
    )
    yield f"- digest of the weights: `{environment['weights_digest']}`" + (
        "" if facts.difference else ", the one in the study's record"
    )


def _source(source: Mapping[str, str]) -> str:
    named = [
        f"{key} {one}" for key, one in source.items() if key not in ("source", "path") and one
    ]
    words = [source.get("source", "unknown"), *named]
    return escaped(", ".join(words))


def _limits() -> Iterator[str]:
    yield "## Limits"
    yield ""
    yield (
        "One network of one seed, the best of a search: a part of its score is luck, and other "
        "seeds at the same point score less on average. A fixed point with a high rank is not "
        "worth anything by itself: what these contexts are good for downstream is not measured "
        "here. The text it was trained on is short; on other languages or kinds of text, measure "
        "before you rely on it."
    )
