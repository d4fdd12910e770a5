"""Metrics: what Prometheus reads, in its own words, and that the database is asked seldom."""

import re
from collections.abc import Iterator

import pytest
from boards import BOARD, BUSY, EVIL
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector
from support import REPOSITORY

from cvfp_opt.service import metrics
from cvfp_opt.service.metrics import CACHE_SECONDS, Metrics, metrics_of
from cvfp_opt.store.database.location import Location
from cvfp_opt.store.database.storage import Store, open_for_search
from cvfp_opt.store.queue.workers import join

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def samples(text: str) -> Samples:
    """All samples by name and labels."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


class Board(Collector):
    def collect(self) -> Iterator[Metric]:
        yield from metrics_of(BOARD)


@pytest.fixture(scope="module")
def shown() -> Samples:
    """The metrics of the board, as Prometheus reads them."""
    registry = CollectorRegistry()
    registry.register(Board())
    return samples(generate_latest(registry).decode())


def of(shown: Samples, name: str, **labels: str) -> float | None:
    return shown.get((f"cvfp_opt_{name}", tuple(sorted(labels.items()))))


def test_studies_and_trials_are_counted_and_none_is_missing(shown: Samples) -> None:
    stages = ["running", "waiting", "paused", "cancelled", "budget spent", "done", "no total"]
    assert [of(shown, "studies", stage=stage) for stage in stages] == [1.0] * 7
    states = ["complete", "pruned", "fail", "running", "waiting"]
    counts = [of(shown, "trials", study="team/a", state=state) for state in states]
    assert counts == [9.0, 2.0, 1.0, 2.0, 1.0]
    assert of(shown, "trials", study="cancelled", state="fail") == 0.0
    assert of(shown, "study_stage", study="spent", stage="budget spent") == 1.0


def test_a_study_has_its_place_its_budgets_and_what_it_has_used(shown: Samples) -> None:
    def one(name: str, study: str) -> float | None:
        return of(shown, name, study=study)

    assert one("study_trials_wanted", "team/a") == 50.0
    assert one("study_trials_wanted", "unasked") is None
    assert (one("study_trials_to_begin", "team/a"), one("study_workers", "team/a")) == (37.0, 1.0)
    assert (one("study_priority", EVIL), one("study_weight", EVIL)) == (5.0, 2.5)
    assert (one("study_max_workers", EVIL), one("study_max_workers", "paused")) == (4.0, None)
    assert one("study_budget_seconds", "spent") == 60.0
    assert one("study_budget_failed_trials", "spent") == 1.0
    assert one("study_deadline_timestamp_seconds", "spent") == BOARD.now
    assert (one("study_budget_spent", "spent"), one("study_budget_spent", "team/a")) == (1.0, 0.0)
    assert one("trial_duration_seconds_sum", "team/a") == 600.0
    assert one("trial_duration_seconds_count", "team/a") == 12.0
    assert (one("takeovers_total", "team/a"), one("trials_lost_total", "team/a")) == (2.0, 1.0)
    assert one("takeovers_total", "paused") == 0.0


def test_the_best_stands_beside_the_untrained_and_the_verdict(shown: Samples) -> None:
    found = [
        [of(shown, f"study_{name}", study=study) for study in ("team/a", "paused", "done", EVIL)]
        for name in ("best_score", "untrained_score", "confirmed")
    ]
    assert found == [[0.9, 0.505, 0.4, None], [0.5, 0.5, None, None], [1.0, 0.0, 0.0, 0.0]]


def test_workers_are_counted_and_those_that_are_gone_were_not_seen(shown: Samples) -> None:
    states = ["starting", "running", "idle", "draining", "stopping", "gone"]
    counts = [of(shown, "workers", state=state) for state in states]
    assert counts == [0.0, 1.0, 1.0, 1.0, 0.0, 1.0]
    seen = {labels for name, labels in shown if name.endswith("last_seen_timestamp_seconds")}
    assert len(seen) == 3
    name = "worker_last_seen_timestamp_seconds"
    assert of(shown, name, worker=BUSY.short, host="host-1") == BUSY.seen


def test_no_series_is_of_a_trial(shown: Samples) -> None:
    names = {label for _, labels in shown for label, _ in labels}
    assert names == {"study", "stage", "state", "worker", "host"}


@pytest.fixture
def store(location: Location) -> Iterator[Store]:
    """An open database of each kind."""
    with open_for_search(location) as opened:
        yield opened


def test_a_database_is_read_at_most_every_few_seconds(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[Store] = []
    read = metrics.read_board
    monkeypatch.setattr(metrics, "read_board", lambda one: (reads.append(one), read(one))[1])
    now = [100.0]
    asked = Metrics(store, lambda: now[0])
    assert reads == []
    first = samples(asked.text().decode())
    assert of(first, "workers", state="running") == 0.0
    assert first[("cvfp_opt_unsent_results", ())] == 0.0
    assert first[("cvfp_opt_scrape_seconds", ())] > 0.0
    assert first[("process_resident_memory_bytes", ())] > 0.0
    join(store, BUSY)
    now[0] += CACHE_SECONDS - 0.1
    assert samples(asked.text().decode()) == first
    now[0] += 0.2
    assert of(samples(asked.text().decode()), "workers", state="running") == 1.0
    assert len(reads) == 2


def test_the_page_of_the_documentation_has_all_of_them(store: Store) -> None:
    families = text_string_to_metric_families(Metrics(store).text().decode())
    found = {
        (
            f"{one.name}_total" if one.type == "counter" else one.name,
            ", ".join(_LABELS.get(one.name.removeprefix("cvfp_opt_"), ["study"])),
        )
        for one in families
        if one.name.startswith("cvfp_opt_")
    }
    text = _documentation()
    rows = re.findall(r"^\| `(cvfp_opt_\w+)` \| ([\w, ]*?) ?\| ", text, re.MULTILINE)
    assert set(rows) == found


_LABELS = {
    "studies": ["stage"],
    "study_stage": ["study", "stage"],
    "trials": ["study", "state"],
    "workers": ["state"],
    "worker_last_seen_timestamp_seconds": ["worker", "host"],
    "unsent_results": [],
    "scrape_seconds": [],
    "build_info": ["version"],
}


def test_each_series_has_those_labels(shown: Samples) -> None:
    for name, labels in shown:
        key = re.sub("_(sum|count|total)$", "", name.removeprefix("cvfp_opt_"))
        assert {label for label, _ in labels} == set(_LABELS.get(key, ["study"])), name


def test_rules_and_boards_ask_for_what_there_is() -> None:
    known = set(re.findall(r"^\| `(cvfp_opt_\w+)`", _documentation(), re.MULTILINE))
    summary = "cvfp_opt_trial_duration_seconds"
    known |= {f"{summary}_sum", f"{summary}_count"}
    for path in ("rules.yml", "grafana.json", "prometheus.yml"):
        text = (REPOSITORY / "docs" / "deploy" / path).read_text()
        assert set(re.findall(r"\bcvfp_opt_\w+", text)) <= known, path


def _documentation() -> str:
    return (REPOSITORY / "docs" / "metrics.md").read_text()
