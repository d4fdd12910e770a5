"""Values of TOML files and of --set: those that no key takes are refused in one line."""

import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import Outcome

from cvfp_opt.errors import DefinitionError
from cvfp_opt.tuning.definition import StudyDefinition
from cvfp_opt.tuning.definition_file import data_settings, parse_setting, read_sections
from cvfp_opt.tuning.typed_values import brief, hint, written

LONG = "1" + "0" * 400


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("2024-01-01", "got a date or time"),
        ("[[2024-01-01]]", "got a date or time"),
        ("07:32:00", 'in quotes: "07:32:00"'),
        (LONG, "a number of 64 bits at most"),
        (f"{{low = 1, high = {LONG}}}", "a number of 64 bits at most"),
        ("0x" + "f" * 4000, "a number of 64 bits at most"),
        ("9" * 5000, "this has thousands of digits"),
        ("[" * 1500, "nested too deeply"),
        ("[" * 100 + "]" * 100, "nested too deeply"),
        ("2\nmodel.num_layers = 3", "one value on one line"),
        ("2\n[search]\nseed = 1", "one value on one line"),
        ("a word\nfoo=3", "one value on one line"),
        ("word\rfoo", "one value on one line"),
    ],
)
def test_what_no_key_takes_is_refused(
    text: str, says: str, invoke: Callable[..., Outcome], isolated_folder: Path
) -> None:
    for key in ("training.num_epochs", "space.dist_reg_weight", "schedule.stage_weights"):
        with pytest.raises(DefinitionError, match=f"^--set {key}: .*") as error:
            parse_setting(f"{key}={text}")
        assert says in str(error.value)
        assert len(str(error.value)) < 300
    if "\n" not in text and "\r" not in text:
        (isolated_folder / "mine.toml").write_text(f"[training]\nnum_epochs = {text}\n")
        outcome = invoke("train", "mine.toml")
        assert outcome.code == 1
        assert says in outcome.err
        assert len(outcome.err.splitlines()) == 1


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_every_number_is_finite(value: str) -> None:
    for section, keys in StudyDefinition().to_dict().items():
        for key in [name for name, one in keys.items() if isinstance(one, float)]:
            with pytest.raises(DefinitionError, match=key):
                StudyDefinition.from_dict({section: {key: float(value)}})
    with pytest.raises(DefinitionError, match="stage_weights"):
        StudyDefinition.from_dict({"schedule": {"stage_weights": [0.5, float(value)]}})


@pytest.mark.parametrize(
    "value", [[["a"], ["b"]], [{"a": 1}, {"b": 2}], ["a", ["a"]], [1, 2], {}, [None, "a"]]
)
def test_choices_are_words(value: object) -> None:
    with pytest.raises(DefinitionError, match="two different words"):
        StudyDefinition.from_dict({"space": {"diversity.loss": value}})


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("space.dist_reg_weight=.5", "type 0.5"),
        ("space.dist_reg_weight=0,5", "type 0.5"),
        ("training.gradient_clip=5.", "type 5.0"),
        ("training.num_epochs=02", "type 2"),
        ("training.num_epochs=2.0", "type 2"),
        ("training.num_epochs=two", "a whole number is required, got \"two\" ("),
        ("training.detach_context=True", "type true"),
        ("training.detach_context=0", "type false"),
        ("data.revision=1234567", 'type it in quotes: "1234567"'),
    ],
)  # fmt: skip
def test_a_slip_is_answered_with_what_to_type(
    setting: str, says: str, invoke: Callable[..., Outcome]
) -> None:
    outcome = invoke("train", "quick", "--set", setting)
    assert outcome.code == 1
    assert says in outcome.err


def test_values_of_a_trial_asked_for_are_read_the_same(
    invoke: Callable[..., Outcome], run_tiny: Callable[..., Outcome]
) -> None:
    run_tiny("--n-trials", "1")
    for value, says in (
        ("2024-01-01", "got a date or time"),
        (LONG, "64 bits"),
        ("[" * 1500, "nested too deeply"),
        (".5", "type 0.5"),
        ("0.5\nlayernorm_mix=1", "one value on one line"),
        ("nan", "a number is required"),
    ):
        outcome = invoke("trial", "enqueue", "--set", f"dist_reg_weight={value}")
        assert outcome.code == 1
        assert says in outcome.err
        assert len(outcome.err.splitlines()) == 1


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_word_is_written_as_toml_reads_it(word: str) -> None:
    assert tomllib.loads(f"word = {written(word)}") == {"word": word}


def test_a_path_beyond_the_basic_plane_is_the_path(isolated_folder: Path) -> None:
    path = isolated_folder / 'a "😀" \\ 研 \x7f.txt'
    _, setting = data_settings(str(path))
    assert parse_setting(setting) == ("data", "path", str(path))


def test_a_byte_order_mark_and_old_line_ends_are_read(isolated_folder: Path) -> None:
    text = "[training]\nnum_epochs = 1\n"
    for content in (
        b"\xef\xbb\xbf" + text.encode(),
        text.replace("\n", "\r\n").encode(),
        text.replace("\n", "\r").encode(),
    ):
        (isolated_folder / "mine.toml").write_bytes(content)
        assert read_sections("mine.toml") == {"training": {"num_epochs": 1}}


@pytest.mark.parametrize("value", [None, float("nan"), 1 << 9000, "x" * 999, [[]], "1e999", "٣"])
def test_any_value_can_be_shown_and_hinted_at(value: object) -> None:
    assert len(brief(value)) <= 80
    assert all(hint(value, (kind,)) is not None for kind in (int, float, bool))
