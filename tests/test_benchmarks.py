"""The benchmark compares what it says, in turn; its figures are not tested."""

import json
import re
from dataclasses import replace
from typing import Any

import pytest
import torch
from click.testing import CliRunner

from benchmarks import __main__ as command
from benchmarks import (
    asking,
    bookkeeping,
    commands,
    events,
    gpu,
    gpu_checks,
    gpu_setting,
    rivals,
    searches,
    service,
)
from benchmarks.setting import make_network, make_text
from benchmarks.timing import Result, in_turn
from cvfp_opt.model.config import ModelConfig
from cvfp_opt.model.passes import sequential_pass, zero_context
from cvfp_opt.model.segments import contracts
from cvfp_opt.store.queue import announcing
from cvfp_opt.workers import staying


def test_variants_run_in_turn_and_are_compared_with_the_first() -> None:
    ran: list[str] = []
    variants = in_turn(
        {"old": (lambda: ran.append("old"), 1), "new": (lambda: ran.append("new"), 2)}, repeats=3
    )
    assert ran == ["old", "new"] * 4  # once to warm up
    old, new = variants
    assert old.ratios == [1.0] * 3
    assert new.ratios == [a / b for a, b in zip(old.seconds, new.seconds, strict=True)]
    assert new.to_dict()["repeats"] == 3


def test_rows_are_printed_or_given_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    def row(repeats: int) -> Result:
        variants = in_turn({"old": (lambda: None, 1)}, repeats=repeats)
        return Result(row="pass", title="a title", unit="token", variants=variants, notes=("so",))

    monkeypatch.setattr(command, "ROWS", {"pass": row, "search": None})
    shown = CliRunner().invoke(command.main, ["--repeats", "2", "--threads", "1"])
    assert shown.exit_code == 0, shown.output
    for text in ("threads 1", "a title", "median a token", "old", "so"):
        assert text in shown.output
    found = CliRunner().invoke(command.main, ["pass", "--threads", "1", "--json"])
    assert json.loads(found.stdout)["rows"][0]["variants"][0]["name"] == "old"


def test_an_unknown_row_is_refused() -> None:
    refused = CliRunner().invoke(command.main, ["passs"])
    assert refused.exit_code == 2
    assert "gpu, scaling; got passs" in refused.output


def test_the_contracting_network_contracts() -> None:
    config = ModelConfig(context_size=96, embedding_size=96, num_layers=3)
    network, text = make_network(config, context_scale=0.3), make_text(200, config)
    contexts = sequential_pass(network, text, zero_context(network))
    assert contracts(network, text, contexts)


def test_books_are_kept_both_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bookkeeping, "BLOCK", 2)
    for result in bookkeeping.durable(1, count=2):
        names = [variant.name for variant in result.variants]
        assert names == ["Optuna", "cvfp-opt", bookkeeping.TOGETHER]
        assert (result.row, "FULL" in result.title) == ("durable", True)


def test_both_ways_write_the_same() -> None:
    with bookkeeping.filled(0, "search.pruner=none") as (store, plan):
        bookkeeping.optimize(bookkeeping.stock(store, plan, "NORMAL"), plan, 1)
        bookkeeping.search(store, plan.load(store), plan, bookkeeping.FileWatch(), 2)
        theirs, ours = plan.load(store).trials
    assert theirs.user_attrs.keys() == ours.user_attrs.keys()
    assert len(theirs.intermediate_values) == len(ours.intermediate_values) == 10
    assert theirs.params.keys() == ours.params.keys()
    sizes = [len(json.dumps(trial.user_attrs)) for trial in (theirs, ours)]
    assert max(sizes) < 1.2 * min(sizes)


def test_commands_are_measured_with_few_and_with_many_studies(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(commands, "COMMANDS", (["list"],))
    results = commands.commands(1, sizes=(1, 2))
    names = [variant.name for variant in results[1].variants]
    assert names == ["Optuna and SQLAlchemy imported", "list"]
    assert all(min(one.seconds) > 0 for result in results for one in result.variants)


def test_asking_and_resuming_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "command", lambda *words: 1.0)
    results = asking.ask(1, sizes=(2, 12))
    assert [len(result.variants) for result in results] == [3, 3]
    assert [variant.name for variant in asking.resume(1, size=12).variants] == [
        "Optuna",
        "cvfp-opt",
    ]


def test_overhead_is_measured_of_one_and_of_many() -> None:
    result = bookkeeping.overhead(1, seconds=0.001, workers=3, count=2)
    assert [variant.name for variant in result.variants] == ["alone", "1 worker", "3 workers"]
    assert "3 workers" in result.notes[0]


def test_events_are_measured_and_told_again_afterwards() -> None:
    before = announcing.Announcer.trial_ended
    names = [variant.name for variant in events.events(1, count=2).variants]
    assert names == [events.NOBODY, events.TOLD, events.HANGING]
    assert announcing.Announcer.trial_ended is before


def test_searches_are_compared_at_the_time_of_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searches, "OURS", {"recommended": {"objective.feasible": "any"}})
    monkeypatch.setattr(searches, "STOCK", dict(list(searches.STOCK.items())[:1]))
    result = searches.searches(1, trials=2, tokens=160, width=16)
    assert [variant.name for variant in result.variants] == ["recommended", *searches.STOCK]
    mine, theirs = (note.split(": ", 1)[1] for note in result.notes[1:])
    assert re.fullmatch(
        r"(0\.\d{3}|none).* after all of it, 0\.\d{3} \(0\.\d{3}\) after its own end", mine
    )
    assert theirs.endswith("after its own end")


def test_what_a_search_found_is_known_at_any_time() -> None:
    found = searches.Search(seconds=9.0, bests=[(2.0, 0.5), (8.0, 0.75)])
    assert [found.after(seconds) for seconds in (1.0, 2.0, 9.0)] == [None, 0.5, 0.75]


def test_a_search_is_measured_beside_its_rivals() -> None:
    result = rivals.rivals(1, trials=1, tokens=160, width=16)
    assert len(result.variants) == 3
    assert all(one.seconds[0] > 0 for one in result.variants)
    scores = [float(note.rpartition(" ")[2]) for note in result.notes[1:]]
    assert all(0.0 < score <= 1.0 for score in scores), result.notes


def test_sizes_go_to_the_rows_that_have_them(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, dict[str, int]] = {}

    def row(name: str) -> Any:
        def measured(repeats: int, **sizes: int) -> Result:
            asked[name] = sizes
            variants = in_turn({"old": (lambda: None, 1)}, repeats=1)
            return Result(row=name, title="", unit="", variants=variants)

        return measured

    monkeypatch.setattr(command, "ROWS", {name: row(name) for name in ("pass", "rivals")})
    words = ["pass", "rivals", "--tokens", "100", "--trials", "3", "--threads", "1"]
    done = CliRunner().invoke(command.main, words)
    assert done.exit_code == 0, done.output
    assert asked == {"pass": {}, "rivals": {"tokens": 100, "trials": 3}}


def test_a_device_is_checked_and_measured_in_a_small_form() -> None:
    small = replace(gpu_setting.SMALL, num_trials=1, search_lanes=1, plain_tokens=8, tokens=16)
    found = list(gpu.gpu(torch.device("cpu"), small))
    checks = [one for one in found if isinstance(one, gpu_checks.Check)]
    assert len(checks) == 7
    assert all(check.passed for check in checks), checks
    names = [one.name for one in found if isinstance(one, gpu.Figure)]
    assert {"pass, plain torch", "whole trials, 2 lanes"} <= set(names)
    assert any(name.startswith("search: 1 trials") for name in names)
    json.dumps([gpu.to_json(one) for one in found], allow_nan=False)


def test_a_check_can_fail() -> None:
    assert not gpu_checks.Check(name="", figure=2.0, limit=1.0).passed
    assert not gpu_checks.Check(name="", figure=float("nan"), limit=1.0).passed


def test_what_has_no_time_left_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "SECONDS", 0.0)
    found = list(gpu.gpu(torch.device("cpu"), gpu_setting.SMALL))
    assert found == [
        f"{name}: left out, the time was used up"
        for name in ("checks", "passes", "training steps", "search", "trials")
    ]


def test_a_service_is_measured_in_a_small_form(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staying, "IDLE_SECONDS", (0.0, 0.1))
    stays = service.stays(1, seconds=0.0, trials=3)
    assert [one.name for one in stays.variants] == ["run", "worker"]
    [claims] = service.claims(1, studies=3, workers=2, trials=6)
    assert claims.variants[0].name == "one study, run"
    [first] = service.first_claim(1)
    assert len(first.variants[0].seconds) == 4
