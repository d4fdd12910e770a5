"""README and the page on searching name what there is."""

from collections.abc import Callable

from support import REPOSITORY, Outcome

from cvfp_opt.tuning import definition_file


def test_the_set_up_commands_are_the_promised_ones() -> None:
    text = (REPOSITORY / "README.md").read_text()
    assert "pip install -e . && cvfp-opt run --n-trials 50\n" in text
    assert "pip install -e '.[test]' && pytest\n" in text
    assert "pip install -e '.[test]' && pytest\n" in (REPOSITORY / ".ci" / "run").read_text()


def test_every_definition_is_in_its_page_and_in_the_help(invoke: Callable[..., Outcome]) -> None:
    text = (REPOSITORY / "docs" / "searching.md").read_text()
    helped = invoke("run", "--help").out
    for name in definition_file.builtin_definitions():
        assert f"`{name}`" in text
        assert name in helped
