"""The list of trials: its columns, what selects and sorts it, and how it is written."""

import csv
import json
import math
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from typing import Any

import optuna
import pytest
from known_studies import EVIL, STUDIES, complete, foreign, not_numbers, small, study, summary
from known_studies import two_objectives as theirs_with_two
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState, create_trial
from rich.cells import cell_len

from cvfp_opt.errors import StudyError
from cvfp_opt.escaping import printable
from cvfp_opt.report.column_table import to_columns
from cvfp_opt.report.rows import Cell, Rows, to_records
from cvfp_opt.report.trial_columns import ENDED, trial_columns
from cvfp_opt.report.trial_list import trial_rows, trial_table
from cvfp_opt.report.trial_list_text import trial_list_csv, trial_list_text
from cvfp_opt.store.queue.claims import REFUSED
from cvfp_opt.store.record.records import TrialRecord
from cvfp_opt.store.record.summary import Summary
from cvfp_opt.training.result import Status

PARAMETERS = (
    "dist_reg_weight",
    "phase1_learning_rate",
    "phase1_convergence_threshold",
    "layernorm_mix",
)


@cache
def known(name: str) -> Summary:
    """One of the known studies, or ``wide``."""
    return wide() if name == "wide" else STUDIES[name]()


def numbers(found: Rows) -> list[Cell]:
    return [row[0] for row in found.rows]


def listed(found: Summary, *where: str, **words: Any) -> list[Cell]:
    return numbers(trial_rows(found, where=where, **words))


def with_params(*params: dict[str, Any], **distributions: Any) -> Summary:
    """Another program's study, trial i worth i."""
    made = optuna.create_study(study_name="theirs")
    for value, one in enumerate(params):
        space = {name: distributions[name] for name in one}
        made.add_trial(create_trial(value=float(value), params=one, distributions=space))
    return summary(made)


# the columns


def test_a_trial_has_its_figures_with_all_digits() -> None:
    row = to_records(trial_rows(small()))[1]
    when = row.pop("started"), row.pop("finished")
    assert row == {
        "trial": 1,
        "state": "complete",
        "score": 0.94,
        "untrained": 0.49,
        "convergence": 0.98,
        "rank": 0.9,
        "dist_reg_weight": 0.1 + 0.8 * 0.4,
        "phase1_learning_rate": 0.0005 * 10**0.4,
        "phase1_convergence_threshold": 0.05 + 0.45 * 0.4,
        "layernorm_mix": 0.8,
        "absolute": 0.5,
        "scale_free": 0.25,
        "frozen_seen": 0.99,
        "unseen": 0.99,
        "rank_unseen": 0.8,
        "lyapunov": -0.2,
        "norm": 19.6,
        "degenerate": "no",
        "ended": "finished",
        "iterations": 2,
        "seconds": 3.0,
        "worker": None,
        "host": None,
    }
    now = datetime.now(UTC).isoformat()
    assert all(isinstance(one, str) and one[:13] <= now and one.endswith("Z") for one in when)


def test_times_are_in_utc_and_an_odd_one_is_none() -> None:
    trial = TrialRecord(number=0, state="running", started=1.7e9)
    [row] = to_records(trial_rows(Summary(name="s", url="u", record=None, trials=[trial])))
    assert (row["started"], row["finished"]) == ("2023-11-14T22:13:20.000Z", None)
    odd = create_trial(value=1.0)
    odd.datetime_start, odd.datetime_complete = datetime.min, datetime.max
    read = TrialRecord.bare(odd)
    assert (read.started, read.completed) == (None, None)


def test_a_trial_without_phases_took_from_its_start_to_its_end() -> None:
    trial = TrialRecord(number=0, state="complete", started=100.0, completed=107.5)
    found = Summary(name="s", url="u", record=None, trials=[trial])
    assert to_records(trial_rows(found))[0]["seconds"] == 7.5


def test_worker_and_host_are_those_of_the_environment() -> None:
    made = study()
    made.add_trial(complete(0.5, 0.9, 0.9, environment={"worker": "w1", "host": ["no text"]}))
    [row] = to_records(trial_rows(summary(made)))
    assert (row["worker"], row["host"]) == ("w1", None)


@pytest.mark.parametrize("name", STUDIES)
def test_names_are_identifiers_but_for_parameters(name: str) -> None:
    found = known(name)
    columns = trial_rows(found).columns
    params = {name for trial in found.trials for name in trial.params}
    assert len(set(columns)) == len(columns)
    assert all(one.isidentifier() for one in columns if one not in params)
    assert params <= set(columns)


def test_other_programs_have_values_under_optunas_names() -> None:
    ran = ("iterations", "seconds", "started", "finished")
    assert trial_rows(foreign()).columns == ("trial", "state", "value", "kind", "rate", *ran)
    two = trial_rows(theirs_with_two())
    assert two.columns == ("trial", "state", "values_0", "values_1", *ran)
    assert two.rows[1][2:4] == (2.0, 3.0)


def test_two_objectives_of_ours_have_a_score() -> None:
    made = optuna.create_study(directions=["maximize", "maximize"])
    made.set_user_attr("cvfp_opt:study", study().user_attrs["cvfp_opt:study"])
    attrs = complete(0.5, 0.75, 0.25).user_attrs
    made.add_trial(create_trial(values=[0.75, 0.25], user_attrs=attrs))
    [row] = to_records(trial_rows(summary(made)))
    assert (row["score"], row["convergence"], row["rank"]) == (0.5, 0.75, 0.25)
    assert "values_0" not in row


def test_a_third_objective_of_ours_is_a_perplexity() -> None:
    found = known("three objectives")
    rows = trial_rows(found)
    assert rows.columns[2:7] == ("score", "untrained", "convergence", "rank", "perplexity")
    assert [row[6] for row in rows.rows] == [60.0, 55.0, 47.25, 56.0]
    assert numbers(trial_rows(found, sort="perplexity")) == [2, 1, 3, 0]  # lower is better
    assert listed(found, "perplexity<56") == [1, 2]
    assert "perplexity" in trial_rows(replace(found, trials=[])).columns
    assert "perplexity" not in trial_rows(known("small")).columns


def test_a_confirmation_says_which_point_ran_on_which_seed() -> None:
    made = study("known/confirm")
    made.set_user_attr("cvfp_opt:confirms", "known")
    run = {"arm": "a", "label": "default point", "seed": 3, "changes": {}}
    made.add_trial(create_trial(value=0.5, system_attrs={"cvfp_opt:arm": run}))
    found = summary(made)
    [row] = to_records(trial_rows(found))
    assert list(row)[:5] == ["trial", "state", "point", "seed", "score"]
    assert (row["point"], row["seed"]) == ("default point", 3)
    assert listed(found, "point=default point", "seed<4") == [0]


def test_a_parameter_named_as_another_column_is_told_apart() -> None:
    some = FloatDistribution(0.0, 9.0)
    params = {"state": 1.0, "params_state": 2.0, "time": 3.0, "a.b": 4.0, "c.b": 5.0}
    found = with_params(params, **dict.fromkeys(params, some))
    [row] = to_records(trial_rows(found))
    assert row["state"] == "complete"
    assert (row["params_state"], row["params_params_state"]) == (1.0, 2.0)
    assert row["params_time"] == 3.0
    headings = [column.heading for column in trial_columns(found)]
    assert len(set(headings)) == len(headings)
    assert {"a.b", "c.b"} <= set(headings)


def test_every_way_to_end_can_be_asked_for() -> None:
    assert {status.value for status in Status} | {REFUSED} <= set(ENDED)


# sorted


def test_the_best_score_comes_first_and_what_has_none_last() -> None:
    assert listed(small()) == [0, 1, 2, 3, 4, 5, 6]
    # 2 was pruned: what it is worth is no score of a whole run
    assert listed(small(), sort="score") == [1, 3, 0, 2, 4, 5, 6]
    assert listed(small(), sort="score", reverse=True) == [0, 3, 1, 2, 4, 5, 6]
    assert listed(small(), reverse=True) == [6, 5, 4, 3, 2, 1, 0]


def test_the_first_by_score_is_the_studys_best() -> None:
    for name in STUDIES:
        found = known(name)
        if found.best is not None and not found.is_pareto:
            by = "score" if found.record else "value"
            assert listed(found, sort=by)[0] == found.best.number, name


def test_a_pruned_trial_that_was_ahead_is_no_winner() -> None:
    made = study()
    made.add_trials([complete(0.5, 0.2, 0.2), create_trial(state=TrialState.PRUNED, value=0.9)])
    assert listed(summary(made), sort="score") == [0, 1]


def test_values_are_sorted_by_their_direction() -> None:
    assert listed(foreign(), sort="value") == [1, 3, 0, 2]
    assert listed(theirs_with_two(), sort="values_0") == [0, 1, 2]
    assert listed(theirs_with_two(), sort="values_1") == [1, 2, 0]


def test_other_columns_begin_with_the_smallest_and_rates_with_the_largest() -> None:
    assert listed(small(), sort="dist_reg_weight", reverse=True)[:2] == [5, 4]
    assert listed(small(), sort="dist_reg_weight")[:2] == [0, 6]  # the latter waits
    assert listed(small(), sort="convergence")[:3] == [1, 3, 0]
    assert listed(small(), sort="state")[:3] == [0, 1, 3]
    assert listed(small(), sort="lr") == listed(small(), sort="phase1_learning_rate")


def test_what_is_no_number_comes_last() -> None:
    assert listed(not_numbers(), sort="convergence") == [0, 1]
    assert listed(not_numbers(), sort="convergence", reverse=True) == [0, 1]


def test_words_and_numbers_of_one_parameter_are_sorted() -> None:
    kinds = CategoricalDistribution(["b", 2, None, "a", 10, True])
    values = ["b", 2, None, "a", 10, True]
    found = with_params(*({"kind": one} for one in values), kind=kinds)
    assert listed(found, sort="kind") == [5, 1, 4, 3, 0, 2]


def test_a_limit_keeps_the_first() -> None:
    assert listed(small(), sort="score", limit=2) == [1, 3]


# selected


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("score>=0.75", [1, 3]),
        ("score > 0.75", [1]),
        ("score<=0.575", [0, 2]),
        ("score==0.75", [3]),
        ("score=0.75", [3]),
        ("score!=0.75", [0, 1, 2]),
        ("convergence>=90%", [1, 3]),
        ("dist_reg_weight<0.3", [0]),
        ("weight<0.3", [0]),
        ("scale-free=25%", [0, 1, 3]),
        ("scale_free=0.25", [0, 1, 3]),
        ("state==complete", [0, 1, 3]),
        ("state!=complete", [2, 4, 5, 6]),
        ("ended=diverged", [4]),
        ("ended=converged_early", []),
        ("ended!=converged early", [0, 1, 2, 3, 4, 5]),
        ("degenerate=no", [0, 1, 3]),
        ("started>=1970", [0, 1, 2, 3, 4, 5]),
        ("trial<inf", [0, 1, 2, 3, 4, 5, 6]),
    ],
)
def test_conditions(where: str, expected: list[int]) -> None:
    assert listed(small(), where) == expected
    assert numbers(trial_rows(small(), where=where)) == expected


def test_all_conditions_and_one_of_the_states_are_required() -> None:
    assert listed(small(), "score>0.2", "dist_reg_weight>0.45") == [2, 3]
    assert listed(small(), states=["pruned", "waiting"]) == [2, 6]
    assert listed(small(), "score>0.9", states="complete") == [1]


def test_nan_meets_no_condition() -> None:
    for symbol in ("<", "=", "!=", ">="):
        assert listed(not_numbers(), f"convergence{symbol}0.9") in ([], [0])


def test_converged_early_is_found_by_either_spelling() -> None:
    made = study()
    made.add_trials([complete(0.5, 0.9, 0.9, status="converged early"), complete(0.5, 0.9, 0.9)])
    for word in ("converged_early", "converged early", "Converged Early"):
        assert listed(summary(made), f"ended={word}") == [0]


def test_a_time_is_compared_as_far_as_it_is_named() -> None:
    trials = [
        TrialRecord(number=number, state="complete", started=1.7e9 + 86400 * number)
        for number in range(3)
    ]  # from 2023-11-14T22:13:20Z, a day apart
    found = Summary(name="s", url="u", record=None, trials=trials)
    assert listed(found, "started=2023-11-15") == [1]
    assert listed(found, "started>2023-11-15") == [2]
    assert listed(found, "started<=2023-11-15") == [0, 1]
    assert listed(found, "started>=2023-11-15 22:13:20Z") == [1, 2]
    assert listed(found, "started>2023-11-15T22:13") == [2]


def test_choices_are_compared_as_words_and_as_numbers() -> None:
    params: list[dict[str, Any]] = [{"size": 16}, {"size": 32}, {"size": "all"}, {}]
    found = with_params(*params, size=CategoricalDistribution([16, 32, "all", True]))
    assert listed(found, "size>16") == [1]
    assert listed(found, "size=16") == [0]
    assert listed(found, "size=all") == [2]
    assert listed(found, "size!=all") == [0, 1]
    assert listed(found, "size=true") == []


def test_a_name_with_an_operator_in_it() -> None:
    some = FloatDistribution(0.0, 9.0)
    found = with_params({"a>1": 2.0, "a": 5.0}, **{"a>1": some, "a": some})
    assert listed(found, "a>1=2") == [0]
    assert listed(found, "a>1") == [0]
    assert listed(found, "a>6") == []


# refused


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"sort": "scor"}, "sort: there is no column 'scor'; did you mean 'score'? (valid: "),
        ({"sort": "weigth"}, "sort: there is no column 'weigth'; "),
        ({"where": "scor>1"}, "where 'scor>1': there is no column 'scor'; did you mean 'score'?"),
        (
            {"where": "score"},
            "where: a column, one of < <= > >= = == !=, and a value are required",
        ),
        ({"where": "score>"}, "and a value are required, got 'score>'; write it as 'score>=0.9'"),
        ({"where": ">0.5"}, "and a value are required, got '>0.5'"),
        ({"where": ""}, "and a value are required, got ''"),
        ({"where": "score=>0.9"}, "a number is required after =, got '>0.9'"),
        ({"where": "score>high"}, "where 'score>high': a number is required after >, got 'high'"),
        ({"where": "score=nan"}, "a number is required after =, got 'nan'"),
        ({"where": "dist_reg_weight=x"}, "a number is required after =, got 'x'"),
        ({"where": "state=completed"}, "state is never 'completed'; did you mean 'complete'?"),
        ({"where": "state=1"}, "state is never '1'; valid: "),
        ({"where": "ended=converge_early"}, "did you mean 'converged early'?"),
        ({"where": "state>complete"}, "state is a text; = or != is required, got >"),
        ({"where": "started>yesterday"}, "a time in UTC is required, as 2026-11-27 or "),
        ({"states": ["complet"]}, "state: unknown name 'complet'; did you mean 'complete'?"),
        ({"limit": 0}, "limit: at least 1 is required, got 0"),
    ],
)
def test_what_cannot_be_meant_is_refused(words: dict[str, Any], message: str) -> None:
    with pytest.raises(StudyError) as refused:
        trial_rows(small(), **words)
    assert message in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


def test_a_choice_that_there_is_not_is_refused() -> None:
    kinds = CategoricalDistribution(["adam", "sgd"])
    found = with_params({"kind": "adam"}, kind=kinds)
    assert listed(found, "kind=sgd") == []
    with pytest.raises(StudyError, match="kind is never 'sdg'; did you mean 'sgd'"):
        trial_rows(found, where="kind=sdg")
    with pytest.raises(StudyError, match="a number is required after >, got 'adam'"):
        trial_rows(found, where="kind>adam")


# written


def wide() -> Summary:
    """Trials of ours with many parameters, wide characters among their values."""
    made = study("wide " * 30)
    space = {f"parameter_of_some_length_{i}": FloatDistribution(0.0, 1e9) for i in range(12)}
    kinds = {"kind": CategoricalDistribution(["研究" * 4, EVIL, "\x1b[2J\n"])}
    for i, kind in enumerate(["研究" * 4, EVIL, "\x1b[2J\n"]):
        params = dict.fromkeys(space, 123456.789 * i) | {"kind": kind}
        made.add_trial(create_trial(value=i / 7, params=params, distributions=space | kinds))
    return summary(made)


@pytest.mark.parametrize("width", [60, 80, 100, 120, 200])
@pytest.mark.parametrize("name", [*STUDIES, "wide"])
def test_the_table_fits_and_nothing_in_it_is_cut(name: str, width: int) -> None:
    found = known(name)
    rows = trial_rows(found)
    text = trial_list_text(found, rows, width=width)
    assert all(cell_len(line) <= width for line in text.lines)
    assert all(line == printable(line) for line in text.lines)
    if not rows.rows:
        assert list(text.lines) == []
        return
    assert len(text.lines) == len(rows.rows) + 1
    assert text.lines[0].split()[:2] == ["trial", "state"]
    columns = trial_columns(found)
    without = [column.name for column in columns if f" {column.name}," in f"{text.note},"]
    shown = [
        place
        for place, column in enumerate(columns)
        if column.heading in text.lines[0] and column.name not in without
    ]
    assert len(shown) > 2
    for line, row in zip(text.lines[1:], rows.words(), strict=True):
        for place in shown:
            if columns[place].name not in ("started", "finished"):
                assert printable(row[place]) in line
    assert bool(text.note) == ("--csv has all columns" in text.note)


def test_the_note_names_all_that_had_no_room() -> None:
    found = small()
    rows = trial_rows(found)
    narrow, full = (trial_list_text(found, rows, width=width) for width in (30, 400))
    assert full.note == ""
    headings = full.lines[0]
    for column in trial_columns(found):
        if column.name in ("worker", "host"):  # no trial has one
            assert column.heading not in headings
            assert column.name not in narrow.note
        else:
            assert column.heading in headings
            named = f" {column.name}," in narrow.note.replace(";", ",")
            assert named == (column.heading not in narrow.lines[0].split())


def test_what_was_asked_for_is_left_out_last() -> None:
    found = small()
    rows = trial_rows(found, sort="norm", where=["lyapunov<0"])
    text = trial_list_text(found, rows, width=31, sort="norm", where=["lyapunov<0"])
    assert text.lines[0].split() == ["trial", "state", "lyapunov", "norm"]


def test_the_title_counts() -> None:
    found = small()
    assert trial_list_text(found, trial_rows(found), width=80).title == "study known: 7 trials"
    one = trial_list_text(found, trial_rows(found, limit=1), width=80)
    assert one.title == "study known: 1 of 7 trials"
    none = known("empty")
    assert trial_list_text(none, trial_rows(none), width=80).title == "study known: 0 trials"


@pytest.mark.parametrize("name", [*STUDIES, "wide"])
def test_csv_and_json_come_back(name: str) -> None:
    found = known(name)
    rows = trial_rows(found)
    printed = trial_list_csv(rows)
    assert len(printed) == len(rows.rows) + 1
    heading, *lines = csv.reader(printed)
    assert tuple(heading) == rows.columns
    for line, row in zip(lines, rows.rows, strict=True):
        for text, cell in zip(line, row, strict=True):
            if isinstance(cell, float) and not math.isnan(cell):
                assert float(text) == cell
            elif not isinstance(cell, float):
                assert text == ("" if cell is None else printable(cell))
    assert len(json.loads(json.dumps(to_records(rows)))) == len(rows.rows)


# columns of programs


def test_the_cells_of_a_column_are_of_one_type() -> None:
    params: list[dict[str, Any]] = [
        {"mixed": 1, "flag": True, "whole": 3, "part": 1.0, "huge": 10**18},
        {"mixed": "a", "flag": False, "whole": 4, "part": 0.5},
        {},
    ]
    found = with_params(
        *params,
        mixed=CategoricalDistribution([1, "a"]),
        flag=CategoricalDistribution([True, False]),
        whole=IntDistribution(1, 5),
        part=FloatDistribution(0.0, 1.0),
        huge=IntDistribution(1, 10**19),
    )
    columns = to_columns(trial_rows(found))
    assert columns["mixed"] == ["1", "a", None]
    assert columns["flag"] == [True, False, None]
    assert columns["whole"] == [3, 4, None]
    assert columns["part"] == [1.0, 0.5, None]
    assert columns["trial"] == [0, 1, 2]
    rows = Rows(columns=("x", "y", "z"), rows=((1, 1, 2**63), (0.5, True, 1)))
    assert [list(map(type, column)) for column in to_columns(rows).values()] == [
        [float, float],
        [str, str],
        [float, float],
    ]


def test_a_table_is_the_rows_in_columns() -> None:
    words: dict[str, Any] = {"sort": "score", "states": "complete", "where": "rank>0.7"}
    found = small()
    table = trial_table(found, **words)
    assert (table["trial"], table["score"]) == ([1, 0], [0.94, 0.575])
    assert table == to_columns(trial_rows(found, **words))


def test_columns_of_no_trial_are_there() -> None:
    rows = trial_rows(known("empty"))
    assert to_columns(rows) == {name: [] for name in rows.columns}
    assert set(PARAMETERS) & set(rows.columns) == set()
