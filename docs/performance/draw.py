"""Draw the picture and tables of ``docs/performance.md`` from what the benchmark measured.

    pip install matplotlib
    python -m benchmarks --threads 1 --json > docs/performance/rows.json
    python -m benchmarks scaling --threads 1 --json > docs/performance/scaling.json
    python docs/performance/draw.py

writes ``scaling.svg`` and the table between the markers.
"""

import json
import re
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

HERE = Path(__file__).parent
PAGE = HERE.parent / "performance.md"
NAMES = {
    "compiled": ("sequential, compiled", "#1f77b4"),
    "segments, float32": ("segments, float32", "#ff7f0e"),
    "segments, bfloat16": ("segments, bfloat16", "#2ca02c"),
}


def draw() -> None:
    """Draw both curves side by side, the memory limit in both."""
    found: dict[str, Any] = json.loads((HERE / "scaling.json").read_text())
    curves = found["scaling"]
    plt.rcParams.update({"svg.hashsalt": "cvfp-opt", "font.size": 10})
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
    standard = next(row for row in curves["width"] if row["width"] == 768)
    for key, (name, colour) in NAMES.items():
        left.plot(
            [row["tokens"] for row in curves["tokens"]],
            [1 / row[key] for row in curves["tokens"]],
            marker="o",
            color=colour,
            label=name,
        )
        right.plot(
            [row["width"] for row in curves["width"]],
            [1 / row[key] for row in curves["width"]],
            marker="o",
            color=colour,
            label=name,
        )
    limit = {
        "color": "#555555",
        "linestyle": "--",
        "label": "limit: read each weight once a token",
    }
    left.axhline(1 / standard["memory"], **limit)
    right.plot(
        [row["width"] for row in curves["width"]],
        [1 / row["memory"] for row in curves["width"]],
        **limit,
    )
    left.set(xlabel="tokens of the text (D = E = 768)", xscale="log")
    left.set_xticks([row["tokens"] for row in curves["tokens"]])
    left.set_xticklabels([str(row["tokens"]) for row in curves["tokens"]])
    left.minorticks_off()
    right.set(xlabel="width D = E (640 tokens)")
    right.set_xticks([row["width"] for row in curves["width"]])
    for axes in (left, right):
        axes.set(ylabel="tokens a second, one thread", yscale="log")
        axes.grid(alpha=0.3, which="both")
    left.legend(frameon=False, loc="center right", bbox_to_anchor=(1.0, 0.35))
    figure.savefig(HERE / "scaling.svg", metadata={"Date": None})


def seconds(value: float) -> str:
    """Format a duration at three digits."""
    for factor, unit in ((1, "s"), (1e3, "ms")):
        if value * factor >= 1:
            return f"{value * factor:.3g} {unit}"
    return f"{value * 1e6:.3g} µs"


def table() -> str:
    """Format all rows of the benchmark as Markdown."""
    found = json.loads((HERE / "rows.json").read_text())
    lines = [
        "| work | variant | median | times as fast | lowest … highest |",
        "|---|---|---|---|---|",
    ]
    for row in found["rows"]:
        for i, variant in enumerate(row["variants"]):
            unit = f" a {row['unit']}" if row["unit"] else ""
            cells = [
                row["title"] if i == 0 else "",
                variant["name"],
                seconds(variant["median_seconds"]) + unit,
                f"{variant['ratio']:.2f}",
                f"{variant['lowest_ratio']:.2f} … {variant['highest_ratio']:.2f}",
            ]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def threads_table() -> str:
    """Format training steps by threads, and passes by processes, as Markdown."""
    curves = json.loads((HERE / "scaling.json").read_text())["scaling"]
    lines = ["| | 1 | 2 |", "|---|---|---|"]
    steps = [seconds(row["step"]) for row in curves["threads"][:2]]
    rates = [f"{row['tokens_per_second']:.0f}" for row in curves["processes"]]
    lines.append(f"| training step, bfloat16, by threads | {' | '.join(steps)} |")
    lines.append(f"| tokens a second, all together, by processes | {' | '.join(rates)} |")
    return "\n".join(lines)


def fill(text: str, marker: str, content: str) -> str:
    """Put a table into its place in the page."""
    pattern = rf"(<!-- {marker} -->\n).*?(<!-- end -->)"
    return re.sub(pattern, lambda m: f"{m[1]}{content}\n{m[2]}", text, flags=re.S)


if __name__ == "__main__":
    page = fill(PAGE.read_text(), "rows", table())
    PAGE.write_text(fill(page, "threads", threads_table()))
    draw()
