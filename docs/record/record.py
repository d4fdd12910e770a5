"""Make the tables and the picture of docs/experiments.md from the figures in this folder.

    pip install matplotlib
    python docs/record/record.py

writes ``trade-off.svg`` and the tables between the markers in ``docs/experiments.md``. Each figure
there was printed by ``cvfp-opt train ... --json`` or written by ``downstream.py``; nothing is
typed by hand.
"""

import json
import re
import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PAGE = HERE.parent / "experiments.md"
TEXTS = ("train", "validation", "held_out")

Row = dict[str, Any]


def read_rows() -> list[Row]:
    """Read the rows, each with ``name``, ``command``, ``report`` and ``runs``, one per seed."""
    rows: list[Row] = json.loads((HERE / "rows.json").read_text())
    return rows


def mean(row: Row, key: str) -> float:
    """Average a figure over the seeds of a row."""
    return statistics.fmean(run[key] for run in row["runs"])


def percent(row: Row, key: str) -> str:
    """Format a mean in percent, and its standard deviation where there are several seeds."""
    values = [100 * run[key] for run in row["runs"]]
    shown = f"{statistics.fmean(values):.1f}"
    if len(values) > 1 and (spread := statistics.stdev(values)) >= 0.05:
        shown += f" ± {spread:.1f}"
    return shown


def joined(row: Row, keys: Iterable[str]) -> str:
    """Format means in percent, with slashes between."""
    return " / ".join(f"{100 * mean(row, key):.1f}" for key in keys)


def markdown(header: str, rows: Iterable[list[str]]) -> str:
    """Make a Markdown table from its header line and the cells of each row."""
    rule = f"|{'---|' * (header.count('|') - 1)}"
    return "\n".join([header, rule, *(f"| {' | '.join(cells)} |" for cells in rows)])


def report_table(rows: list[Row]) -> str:
    """Make the table in the report's terms: convergence at 0.1 and rank, on two texts."""
    header = (
        "| experiment | seeds | convergence at 0.1: train | validation | rank: train | validation "
        "| steps | the report |"
    )
    table = []
    for row in rows:
        steps = round(mean(row, "steps"))
        cells = [
            row["name"],
            str(len(row["runs"])),
            percent(row, "convergence"),
            percent(row, "validation_convergence"),
            percent(row, "rank"),
            percent(row, "validation_rank"),
            f"**{steps}**" if steps == 0 else str(steps),
            row["report"],
        ]
        table.append(cells)
    return markdown(header, table)


def questions_table(rows: list[Row]) -> str:
    """Make the table of both questions, absolute and scale-free, on three texts."""
    header = (
        "| experiment | in training: absolute | in training: scale-free | frozen: absolute "
        "| frozen: scale-free | frozen rank | λ | norm |"
    )
    table = []
    for row in rows:
        cells = [row["name"]]
        for kind in ("training_absolute", "training_scale_free", "frozen_absolute", "frozen"):
            cells.append(joined(row, (f"{kind}_{text}" for text in TEXTS)))
        cells.append(joined(row, (f"frozen_rank_{text}" for text in TEXTS)))
        cells += [f"{mean(row, 'lyapunov'):+.2f}", f"{mean(row, 'norm'):.1f}"]
        table.append(cells)
    return markdown(header, table)


def thresholds_table(rows: list[Row]) -> str:
    """Make the table of convergence in training against the threshold (Option 3)."""
    levels = ("0.1", "0.2", "0.5", "1.0")
    header = f"| experiment | {' | '.join(f'at {level}' for level in levels)} |"
    table = []
    for row in rows:
        cells = [
            row["name"],
            joined(row, ("training_absolute_train", "training_scale_free_train")),
        ]
        cells += [
            joined(row, (f"convergence_at_{level}", f"scale_free_at_{level}"))
            for level in levels[1:]
        ]
        table.append(cells)
    return markdown(header, table)


def probe_table() -> str:
    """Make the table of the next-token probe, from ``probe.json``."""
    header = "| features | perplexity: train | held-out | accuracy: train | held-out |"
    table = []
    for row in json.loads((HERE / "probe.json").read_text()):
        cells = [row["features"]]
        for key, scale in (("perplexity", 1), ("accuracy", 100)):
            for text in ("train", "held_out"):
                values = [scale * probe[f"{text}_{key}"] for probe in row["probes"]]
                spread = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
                cells.append(f"{statistics.fmean(values):.1f}{spread}")
        table.append(cells)
    return markdown(header, table)


PROBED = (
    ("token counts alone (unigram)", "unigram", ""),
    ("Kneser-Ney trigram", "3-gram", ""),
    ("token embedding", "token embedding", ""),
    ("the last two tokens' embeddings", "two token embeddings", ""),
    ("contexts: untrained net", "untrained: contexts", ""),
    ("contexts beside embedding: untrained net", "untrained: contexts beside embedding", ""),
    ("contexts: trained net", ": contexts", "never"),
    ("contexts beside embedding: trained net", ": contexts beside embedding", "never"),
)


def read_downstream() -> list[Row]:
    """Read the rows of ``downstream.py``, one a seed and kind of features."""
    rows: list[Row] = json.loads((HERE / "downstream.json").read_text())
    return rows


def of_features(rows: list[Row], features: str, threshold: str) -> list[Row]:
    """Select the rows of all seeds: those of a threshold where one is given, or of a name."""
    if not threshold:
        return [row for row in rows if row["features"] == features]
    return [
        row
        for row in rows
        if row["features"].endswith(features) and threshold in row.get("thresholds", ())
    ]


def spread(values: list[float], form: str = ".1f") -> str:
    """Format a mean and, where there are several seeds, their standard deviation."""
    shown = f"{statistics.fmean(values):{form}}"
    return f"{shown} ± {statistics.stdev(values):{form}}" if len(values) > 1 else shown


def long_probe_table(rows: list[Row]) -> str:
    """Make the table of all kinds of features on 100 000 tokens."""
    header = "| features | seeds | perplexity: train | held-out | accuracy: train | held-out |"
    table = []
    for name, features, threshold in PROBED:
        found = of_features(rows, features, threshold)
        cells = [name, str(len(found)) if "seed" in found[0] else "-"]
        for key, scale in (("perplexity", 1), ("accuracy", 100)):
            for text in ("train", "held_out"):
                cells.append(spread([scale * row[f"{text}_{key}"] for row in found]))
        table.append(cells)
    return markdown(header, table)


def stopped_table(rows: list[Row]) -> str:
    """Make the table of what the thresholds of early stopping cost."""
    header = (
        "| stops at 95 % below | seeds | after pass | scale-free at 0.1 | mean square | rank "
        "| rank, unseen | λ | perplexity: contexts | beside embedding |"
    )
    table = []
    for threshold in ("untrained", "1.0", "0.5", "0.2", "0.1", "never"):
        untrained = threshold == "untrained"
        alone, beside = (
            of_features(rows, f"untrained{kind}", "")
            if untrained
            else of_features(rows, kind, threshold)
            for kind in (": contexts", ": contexts beside embedding")
        )
        if not alone:
            table.append([threshold, "0", *["-"] * 8])
            continue
        table.append(
            [
                threshold,
                str(len(alone)),
                "-" if untrained else " ".join(str(row["pass"] + 1) for row in alone),
                "-"
                if untrained
                else spread([100 * row["training"]["scale_free"]["0.1"] for row in alone]),
                spread([row["power"] for row in alone], ".2f"),
                *(spread([100 * row[key] for row in alone]) for key in ("rank", "held_out_rank")),
                spread([row["lyapunov"] for row in alone], "+.2f").replace("± +", "± "),
                *(spread([r["held_out_perplexity"] for r in kind]) for kind in (alone, beside)),
            ]
        )
    return markdown(header, table)


def commands(rows: list[Row]) -> str:
    """List the command of each row."""
    return "\n".join(f"- {row['name']}: `{row['command']}`" for row in rows)


def with_tables(page: str, rows: list[Row]) -> str:
    """Return the page with its tables made anew."""
    for marker, text in (
        ("report", report_table(rows)),
        ("questions", questions_table(rows)),
        ("thresholds", thresholds_table(rows)),
        ("probe", probe_table()),
        ("long probe", long_probe_table(read_downstream())),
        ("stopped", stopped_table(read_downstream())),
        ("commands", commands(rows)),
    ):
        pattern = rf"(<!-- {marker} -->\n).*?(<!-- end -->)"
        page, count = re.subn(
            pattern, lambda m, t=text: f"{m[1]}{t}\n{m[2]}", page, flags=re.DOTALL
        )
        assert count == 1, marker
    return page


def draw(rows: list[Row], path: Path) -> None:
    """Draw convergence against rank, in training (left) and frozen on unseen text (right)."""
    from matplotlib import pyplot

    pyplot.rcParams.update({"svg.hashsalt": "cvfp-opt", "svg.fonttype": "none", "font.size": 9})
    figure, axes = pyplot.subplots(1, 2, figsize=(10, 6.6))
    panels = (
        ("In training, absolute, at 0.1\n(what the report measures)", "convergence", "rank"),
        (
            "Frozen weights, scale-free, at 0.1, unseen text\n(whether there is a fixed point)",
            "frozen_held_out",
            "frozen_rank_held_out",
        ),
    )
    colours = pyplot.get_cmap("tab20").colors
    for axis, (title, x, y) in zip(axes, panels, strict=True):
        for index, row in enumerate(rows):
            axis.scatter(
                [100 * run[x] for run in row["runs"]],
                [100 * run[y] for run in row["runs"]],
                color=colours[index % len(colours)],
                marker="osD^v"[index % 5],  # not by colour alone
                s=45,
                edgecolor="black",
                linewidth=0.4,
                label=row["name"].replace("`", ""),
                zorder=3,
            )
        axis.set_title(title, fontsize=10)
        axis.set_xlabel("converged tokens, %")
        axis.set_ylabel("effective rank / D, %")
        axis.set_xlim(-4, 104)
        axis.set_ylim(-4, 104)
        axis.grid(alpha=0.3)
    for label, x, y in (("Test 1", 96.0, 6.9), ("Test 2", 0.0, 88.7)):
        axes[0].scatter([x], [y], marker="*", s=190, color="black", zorder=4)
        axes[0].annotate(
            f"report's {label}",
            (x, y),
            textcoords="offset points",
            xytext=(8, -13) if x < 50 else (-75, -3),
        )
    axes[0].scatter([], [], marker="*", s=120, color="black", label="the original report")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncol=3, fontsize=8, frameon=False)
    figure.tight_layout(rect=(0, 0.22, 1, 1))
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    """Write the tables and the picture."""
    rows = read_rows()
    PAGE.write_text(with_tables(PAGE.read_text(), rows))
    draw(rows, HERE / "trade-off.svg")


if __name__ == "__main__":
    main()
