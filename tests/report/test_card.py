"""The model card: its sentences in each case; a user's text stays text."""

from dataclasses import replace
from typing import Any

import pytest

from cvfp_opt.report.card import code, model_card
from cvfp_opt.store.record.published import PublishedTrial
from cvfp_opt.store.record.records import TrialRecord
from cvfp_opt.store.record.trial_attributes import StoredProbe
from cvfp_opt.tuning.definition import StudyDefinition


def read(convergence: float, rank: float) -> dict[str, float]:
    return {"convergence": convergence, "convergence_strict": 0.5, "effective_rank": rank}


AUDIT = {
    "baseline": {"score": 0.45},
    "frozen_train": read(0.991, 0.80),
    "frozen_validation": read(0.97, 0.75),
    "frozen_held_out": read(0.62, 0.70),
    "lyapunov_exponent": -0.15,
    "global_attractor": False,
    "near_zero": False,
    "identity_map": False,
}
METRICS = {"convergence_rate": 0.97, "effective_rank": 0.8, "score": 0.885}
TRIAL = TrialRecord(
    number=7,
    state="complete",
    value=0.885,
    params={"dist_reg_weight": 0.55},
    scored=METRICS,
    metrics=METRICS | {f"validation_{key}": 0.5 for key in METRICS},
    audit=AUDIT,
    environment={
        "versions": {"torch": "2.13.0"},
        "device": "cpu",
        "threads": 2,
        "weights_digest": "abc123",
    },
)


PROBE: StoredProbe = {"train_perplexity": 25.71, "held_out_perplexity": 47.32}


def facts(**fields: Any) -> PublishedTrial:
    whole: dict[str, Any] = {
        "study": "quick",
        "trial": TRIAL,
        "recorded_score": 0.9,
        "searched": {},
        "definition": StudyDefinition().to_dict(),
        "identity": {"uuid": "u" * 32, "seed": 3, "number": 5},
        "sources": {"data": {"source": "embedded"}, "embedding": {"source": "random"}},
        "data_digest": "def456",
        "num_parameters": 1_234_567,
        "folder": "winner",
    }
    return PublishedTrial(**(whole | fields))


def card(**fields: Any) -> str:
    """The card below its front matter, of which tests/report/test_card_metadata.py speaks."""
    _, _, below = whole_card(**fields).split("---\n", 2)
    return below.removeprefix("\n")


def whole_card(**fields: Any) -> str:
    confirmed = fields.pop("confirmed", "")
    return model_card(facts(**fields), judgement="It scores 0.885.", confirmed=confirmed)


def test_it_holds_figures_parameters_origin_and_how_to_use_it() -> None:
    text = card(trials={"complete": 9, "pruned": 2, "fail": 0})
    for line in (
        "# A CVFP network: trial 7 of study quick",
        "**It scores 0.885.**",
        'model = cvfp_opt.load("winner")',
        "| convergence rate | 97.0% | 50.0% |",
        "| it never saw | 62.0% | 50.0% | 70.0% |",
        "| `dist_reg_weight` | 0.55 |",
        "- text: embedded, the first 6400 tokens",
        "- digest of the tokens: `def456`",
        "- seed 3, number 5: all that is random",
        f"- trial `{'u' * 32}`, one of 9 complete, 2 pruned",
        "- digest of the weights: `abc123`, the one in the study's record",
    ):
        assert f"\n{line}\n" in f"\n{text}", line
    assert "1,234,567 parameters" in text
    assert "Not identical" not in text


def test_the_audit_is_said_in_words() -> None:
    text = card()
    assert "On text it was trained on it has a fixed point: 99.1% of tokens" in text
    assert "On text it never saw it has no fixed point: 62.0% of tokens" in text
    assert "The rank on unseen text is 10.0 points lower" in text
    assert "It forgets where it started (Lyapunov exponent -0.150 per token)" in text
    assert "It is not degenerate" in text


def test_it_says_what_fresh_seeds_gave() -> None:
    assert "\n**On 3 fresh seeds: \\`x\\` is confirmed.**\n" in card(
        confirmed="on 3 fresh seeds: `x` is confirmed"
    )
    assert "confirmed" not in card()


@pytest.mark.parametrize(
    ("audit", "words"),
    [
        ({"lyapunov_exponent": 0.3}, "It does not forget where it started"),
        ({"lyapunov_exponent": None}, "It forgets where it started (Lyapunov exponent - per"),
        ({"near_zero": True}, "**Degenerate: all contexts are near zero.**"),
    ],
)
def test_what_the_audit_found_wrong_is_said(audit: dict[str, Any], words: str) -> None:
    assert words in card(trial=replace(TRIAL, audit=AUDIT | audit))


def test_other_weights_than_the_records_come_first() -> None:
    text = card(difference="torch 2.14.0 (was 2.13.0)")
    assert text.splitlines()[2].startswith("> **Not identical.**")
    assert "torch 2.14.0 (was 2.13.0)" in text
    assert "the trial's own score was 0.900" in text
    assert "the one in the study's record" not in text


def test_a_users_text_is_shown_as_it_is() -> None:
    name = "<script>alert(1)</script>\n# [x](http://y) *z* `q`"
    text = card(study=name, sources={"data": {"source": name}}, folder='a"b')
    assert "<script>" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt; \\# \\[x\\](http://y) \\*z\\* \\`q\\`" in text
    assert len([line for line in text.splitlines() if line.startswith("# ")]) == 1
    assert 'cvfp_opt.load("a\\"b")' in text
    assert code("a`b|\nc") == "`a'b/ c`"


def test_it_does_nothing_to_a_terminal() -> None:
    name = "a\x1b[2J\u202eb\udcff"
    text = whole_card(study=name, folder=name, sources={"data": {"source": name}})
    assert all(one.isprintable() for line in text.splitlines() for one in line)
    assert 'cvfp_opt.load("a\\u001b[2J\\u202eb\\udcff")' in text
    assert "of study a\\\\x1b\\[2J\\\\u202eb\\\\udcff" in text


def test_a_run_without_a_study_speaks_of_none() -> None:
    text = card(study="", identity={"seed": 3, "number": 0})
    assert text.startswith("# A CVFP network\n\n**It scores 0.885.**\n")
    assert "\n- seed 3, number 0: all that is random\n- trained with torch 2.13.0; " in text
    assert "\n- digest of the weights: `abc123`\n" in text
    assert "\nOne network of one seed: a part of its score is luck. A fixed point" in text
    for word in ("study", "trial", "search"):
        assert word not in text


def test_where_a_text_lies_on_a_disk_is_nobodys_business() -> None:
    sources = {"data": {"source": "text", "path": "/home/me/secret.txt"}}
    assert "secret" not in card(sources=sources)


def test_what_was_measured_downstream_is_said_with_who_chose_by_it() -> None:
    probed = replace(TRIAL, downstream=PROBE)
    card = model_card(facts(trial=probed), judgement="Good.")
    assert (
        "with a perplexity of 47.3 (lower is better; 25.7 on the training text, and the " in card
    )
    assert "downstream is measured by that linear probe alone" in card
    alone = model_card(facts(trial=probed, study=""), judgement="Good.")
    assert "25.7 on the training text)" in alone
    plain = model_card(facts(), judgement="Good.")
    assert "downstream is not measured here" in plain
    assert "perplexity" not in plain
