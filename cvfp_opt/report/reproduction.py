"""The result of an experiment of `reproduce`, in words."""

from typing import Any

from cvfp_opt.report.words import number, share


def reproduction_lines(name: str, experiment: dict[str, Any], standard: int) -> list[str]:
    """Write an experiment: the report's figures, ours, and the explanation."""
    lines = [f"{name}: {experiment['title']}"]
    if experiment["tokens"] != standard:
        lines.append(
            f"short form: {experiment['tokens']} tokens, where the report has {standard}; ranks "
            "and rates of the two are not comparable, what happens is"
        )
    for row in experiment["variants"]:
        lines += [f"  {row['label']}", f"    the report: {row['report']}"]
        if row["convergence"] is not None:
            lines.append(
                f"    here:       {share(row['convergence'])} / "
                f"{share(row['validation_convergence'])} converged, rank {share(row['rank'])} / "
                f"{share(row['validation_rank'])}, residual {number(row['residual'])}, "
                f"{row['optimizer_steps']} optimizer steps"
            )
        lines.append(f"    ended:      {row['outcome']}")
    return [*lines, f"  why: {experiment['explanation']}"]
