"""Convergence against threshold, from what a trial stored: what a score rests on."""

import statistics
from typing import Any

from rich.table import Table

from cvfp_opt.store.record.quantiles import rate_at

THRESHOLDS = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0, 1.5, 2.0)
# Those that the original report studies.
MARKED = (0.1, 0.2, 0.5, 1.0)


def threshold_rows(audit: dict[str, Any]) -> list[dict[str, float]]:
    """Rates at each of THRESHOLDS, absolute and scale-free, within 1.6 points.

    Args:
        audit: of a trial, see model.audit.Audit.
    """
    quantiles, power = audit["residual_quantiles"], audit["mean_square"]
    return [
        {
            "threshold": threshold,
            "absolute": rate_at(quantiles, threshold),
            "scale_free": rate_at(quantiles, threshold * power),
        }
        for threshold in THRESHOLDS
    ]


def threshold_table(rows: list[dict[str, float]]) -> Table:
    """The rows with bars; the report's thresholds are marked."""
    table = Table(box=None, pad_edge=False)
    table.add_column("threshold", justify="right")
    table.add_column("absolute", justify="right")
    table.add_column("")
    table.add_column("scale-free", justify="right")
    table.add_column("")
    for row in rows:
        mark = " *" if row["threshold"] in MARKED else "  "
        table.add_row(
            f"{row['threshold']:g}{mark}",
            f"{row['absolute']:.1%}",
            _bar(row["absolute"]),
            f"{row['scale_free']:.1%}",
            _bar(row["scale_free"]),
        )
    return table


def probe_table(rows: list[dict[str, Any]]) -> Table:
    """The next-token probe: means over its seeds, and how far they spread.

    Args:
        rows: see search.downstream.ProbedFeatures.
    """
    table = Table(
        title="Downstream: a linear probe predicts the next token (lower perplexity is better)",
        title_justify="left",
        title_style="bold",
        box=None,
        pad_edge=False,
    )
    table.add_column("features")
    for column in ("perplexity: train", "held-out", "accuracy: train", "held-out"):
        table.add_column(column, justify="right")
    for row in rows:
        cells = []
        for key in ("perplexity", "accuracy"):
            for text in ("train", "held_out"):
                values = [probe[f"{text}_{key}"] for probe in row["probes"]]
                mean = statistics.fmean(values)
                spread = statistics.stdev(values) if len(values) > 1 else None
                shown = f"{mean:.1f}" if key == "perplexity" else f"{mean:.1%}"
                if spread is not None:
                    shown += f" ± {spread:.1f}" if key == "perplexity" else f" ± {spread:.1%}"
                cells.append(shown)
        table.add_row(row["features"], *cells)
    return table


def _bar(rate: float) -> str:
    return "#" * round(20 * rate)
