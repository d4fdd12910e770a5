"""Messages: their lines, and the names that they offer."""

import time

from cvfp_opt.errors import StudyError, nearest


def test_a_message_has_the_lines_that_were_given() -> None:
    error = StudyError("two:", "  b\nc")
    assert error.args == ("two:", "  b\nc")
    assert str(error) == "two:\n  b\nc"
    assert str(StudyError()) == ""


def test_the_nearest_name_is_offered() -> None:
    assert nearest("tpee", ["tpe", "qmc"]) == "did you mean 'tpe'? (valid: qmc, tpe)"
    assert nearest("x", ["tpe", "qmc\x1b"]) == "valid: qmc\\x1b, tpe"


def test_of_any_number_of_names_a_message_has_some() -> None:
    started = time.process_time()
    told = nearest("ab " * 150, [f"{'ab cd ' * 80}{number}" for number in range(20_000)])
    assert len(told) < 10_000
    assert told.endswith("and 19940 more")
    assert time.process_time() - started < 5.0
