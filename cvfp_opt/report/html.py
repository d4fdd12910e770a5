"""What a notebook shows of a study, a trial, a confirmation, a plan, a network or a table.

Each function returns a fragment of HTML for ``_repr_html_``; `report.brief` has the texts for
``__repr__``.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from optuna.distributions import BaseDistribution

from cvfp_opt.report.confirmation import Confirmation
from cvfp_opt.report.confirmation_words import (
    confirmation_line,
    confirmation_lines,
    confirmation_rows,
)
from cvfp_opt.report.extent import trials_words
from cvfp_opt.report.fragment import Fragment, render_fragment
from cvfp_opt.report.history import history_line
from cvfp_opt.report.judgement import answer, judge, judge_trial
from cvfp_opt.report.network import NetworkRecord
from cvfp_opt.report.rows import Rows
from cvfp_opt.report.settings import range_words, setting_words, unsearched
from cvfp_opt.report.sketch import sketch
from cvfp_opt.report.trial_rows import (
    AUDITED,
    Quantity,
    account_tables,
    audit_rows,
    best_rows,
    iteration_rows,
    scored_quantities,
)
from cvfp_opt.report.words import (
    DEGENERATE,
    duration,
    fixed_parameters,
    parameter,
    reason_words,
    sentence,
    trial_definition,
    value_words,
)
from cvfp_opt.store.record.queue_entry import QueueState
from cvfp_opt.store.record.records import TrialRecord
from cvfp_opt.store.record.summary import Summary

# Trials in the tables of the best.
FEW = 5


def plan_html(name: str, changes: Mapping[str, Any], space: Mapping[str, BaseDistribution]) -> str:
    """Show a study definition: what is searched, and what differs from the defaults.

    Args:
        name: of the definition.
        changes: values that differ from the defaults, by ``section.key``.
        space: of each searched parameter, by name.
    """
    searched = Rows(
        columns=("parameter", "searched"),
        rows=tuple((key, range_words(one)) for key, one in space.items()),
    )
    other = Rows(
        columns=("key", "not the default"),
        rows=tuple((key, setting_words(one)) for key, one in unsearched(changes, space)),
    )
    lines = [] if space else ["Nothing is searched."]
    lines += [] if other.rows else ["All other keys have their defaults."]
    tables = [rows for rows in (searched, other) if rows.rows]
    return render_fragment(Fragment(title=f"Definition {name}", lines=lines, tables=tables))


def study_html(summary: Summary) -> str:
    """Show a study: whether to believe it, its trials as a picture, the best one, its audit."""
    best = summary.best
    audited = best is not None and bool(best.audit)
    closed = "" if summary.queue.state is QueueState.OPEN else f", {summary.queue.state.value}"
    lines = [sentence(summary.note)] if summary.note else []
    lines += [judge(summary)] if audited else []
    lines += [sentence(line)] if (line := confirmation_line(summary, hint=False)) else []
    # what is left of the picture in a notebook that is not trusted
    lines += [history] if (history := history_line(summary)) else []
    found = Fragment(
        title=f"Study {summary.name}",
        state=f"{trials_words(summary, 'no trials yet')}{closed} · {summary.url}",
        answer=answer(summary),
        lines=lines,
        picture=sketch(summary),
        tables=list(_trial_tables(summary, best)) if best else (),
        folded=_ranking(summary),
    )
    return render_fragment(found)


def _ranking(summary: Summary) -> dict[str, Rows]:
    ranking = summary.ranking[:FEW]
    if len(ranking) < 2:
        return {}
    what = "the Pareto front" if summary.is_pareto else "the best trials"
    tables = {sentence(what).removesuffix("."): best_rows(ranking)}
    if any(trial.audit for trial in ranking):
        tables["Their audit"] = audit_rows(ranking)
    return tables


def _trial_tables(summary: Summary, trial: TrialRecord) -> Iterator[Rows]:
    """List scores, parameters and the most telling figures of the audit."""
    name = f"trial {trial.number}"
    if trial.scored or trial.metrics:
        yield _figures(name, trial, scored_quantities([trial]))
    elif trial.values:
        yield Rows(columns=(name, ""), rows=((value_words(summary, trial), ""),))
    yield from _parameters(trial, fixed_parameters(trial_definition(summary, trial), trial))
    yield from _audit(trial)


def _audit(trial: TrialRecord) -> Iterator[Rows]:
    """List the most telling figures of an audit, if there was one."""
    if not trial.audit:
        return
    flags = ", ".join(words for flag, words in DEGENERATE.items() if trial.audit[flag])
    figures = _figures("audit", trial, AUDITED)
    yield replace(figures, rows=(*figures.rows, ("degenerate", flags or "no")))


def _figures(head: str, trial: TrialRecord, quantities: Iterable[Quantity]) -> Rows:
    rows = tuple((one.label, one.write(one.take(trial))) for one in quantities)
    return Rows(columns=(head, ""), rows=rows)


def _parameters(trial: TrialRecord, fixed: Mapping[str, Any]) -> Iterator[Rows]:
    rows = [(name, parameter(value)) for name, value in trial.params.items()]
    rows += [(f"{name} (fixed)", parameter(value)) for name, value in fixed.items()]
    if rows:
        yield Rows(columns=("parameter", ""), rows=tuple(rows))


def trial_html(summary: Summary, trial: TrialRecord) -> str:
    """Show a trial of a study: how it ended, the judgement of its audit, all its figures."""
    definition = trial_definition(summary, trial)
    worth = f", {value_words(summary, trial)}" if trial.values else ""
    ended = ": ".join(filter(None, (trial.status, reason_words(trial))))
    lines = [sentence(ended)] if ended else []
    if trial.audit:
        lines.append(judge_trial(trial, definition, subject=f"Trial {trial.number}"))
        confirmed = confirmation_line(summary, trial=trial, hint=False)
        lines += [sentence(confirmed)] if confirmed else []
    if trial.seconds:
        phases = ", ".join(f"{name} {duration(s)}" for name, s in trial.seconds.items())
        lines.append(f"Time: {duration(sum(trial.seconds.values()))} ({phases}).")
    rows = iteration_rows(trial)
    return render_fragment(
        Fragment(
            title=f"Trial {trial.number} of study {summary.name}",
            state=f"{trial.state}{worth}",
            lines=lines,
            tables=[
                *_parameters(trial, fixed_parameters(definition, trial)),
                *account_tables(trial),
            ],
            folded={"Its iterations": rows} if rows.rows else {},
        )
    )


def confirmation_html(found: Confirmation) -> str:
    """Show a confirmation: the verdict on the winner, and each point on fresh seeds."""
    return render_fragment(
        Fragment(
            title=f"Confirmation {found.study}",
            state=f"{found.done} of {found.total} runs",
            lines=confirmation_lines(found),
            tables=[confirmation_rows(found)],
        )
    )


def rows_html(rows: Rows, title: str) -> str:
    """Show a table under a title."""
    return render_fragment(Fragment(title=title, tables=[rows]))


def network_html(network: NetworkRecord) -> str:
    """Show what a network is, what it was trained by, and the judgement of its audit."""
    trial = network.trial
    tables = [_figures("figure", trial, scored_quantities([trial]))] if trial.metrics else []
    tables += _parameters(trial, {})
    tables += _audit(trial)
    return render_fragment(
        Fragment(
            title=network.title,
            state=network.sizes,
            lines=[network.judgement],
            tables=tables,
        )
    )
