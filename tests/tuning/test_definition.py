"""Study definitions: read strictly, refused clearly, the same text the same digest."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from cvfp_opt.errors import DefinitionError
from cvfp_opt.model.config import LOSSES
from cvfp_opt.model.diversity import DIVERSITY_LOSSES
from cvfp_opt.model.matrix_products import PRODUCTS
from cvfp_opt.store.record.definition_sections import completed
from cvfp_opt.training.config import PRECISIONS, TRAINER_NAMES
from cvfp_opt.training.data_config import EMBEDDINGS, TEXTS
from cvfp_opt.training.embedding import EMBEDDING_SOURCES
from cvfp_opt.training.text import TEXT_SOURCES
from cvfp_opt.training.trainers import TRAINERS
from cvfp_opt.tuning.definition import StudyDefinition
from cvfp_opt.tuning.definition_file import (
    builtin_definitions,
    parse_setting,
    read_sections,
    resolve_definition,
)


def resolve(toml: str, *settings: str) -> StudyDefinition:
    path = Path("mine.toml")
    path.write_text(toml)
    return resolve_definition(read_sections("mine.toml"), settings, where="mine.toml")


def test_recommended_writes_out_every_default() -> None:
    sections = read_sections("recommended")
    # what fits its space and protocol, and no other's
    own = {"first_points": [], "pruner_settings": {}, "num_pruner_warmup_steps": 1}
    plain = sections | {"search": sections["search"] | own}
    assert StudyDefinition.from_dict(plain) == StudyDefinition()
    written = {f"{s}.{k}" for s, section in sections.items() for k in section}
    every = {f"{s}.{k}" for s, section in StudyDefinition().to_dict().items() for k in section}
    assert written == every


@pytest.mark.parametrize("name", builtin_definitions())
def test_builtin_definitions_survive_a_round_trip(name: str) -> None:
    definition = StudyDefinition.from_dict(read_sections(name))
    assert StudyDefinition.from_dict(definition.to_dict()) == definition
    assert StudyDefinition.from_dict(definition.to_dict()).digest() == definition.digest()


def test_keys_that_are_newer_than_a_study_do_not_change_its_digest() -> None:
    recorded = StudyDefinition().to_dict()
    recorded["objective"]["feasible"] = "any"
    keys = StudyDefinition.from_dict(recorded).flat()
    newer = (
        "objective.feasible",
        "objective.downstream",
        "search.first_points",
        "search.sampler_settings",
    )
    former = {key: keys[key] for key in keys if key not in (*newer, "search.pruner_settings")}
    text = json.dumps(former, sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(text.encode()).hexdigest()
    assert StudyDefinition.from_dict(recorded).digest() == digest
    for section, key in (name.split(".") for name in newer):
        del recorded[section][key]
    assert StudyDefinition.from_dict(completed(recorded)).digest() == digest
    assert StudyDefinition().digest() != digest


def test_a_third_objective_makes_another_study_of_a_definition() -> None:
    pareto = read_sections("pareto")
    third = {**pareto, "objective": pareto["objective"] | {"downstream": True}}
    two, three = StudyDefinition.from_dict(pareto), StudyDefinition.from_dict(third)
    assert two.digest() != three.digest()
    counts = [one.objective.num_objectives for one in (StudyDefinition(), two, three)]
    assert counts == [1, 2, 3]


def test_precedence_is_setting_then_file_then_default() -> None:
    toml = "[training]\nnum_epochs = 3\nnum_iterations = 7\n"
    definition = resolve(toml, "training.num_epochs=4")
    training = definition.training
    assert (training.num_epochs, training.num_iterations, training.minibatch_size) == (4, 7, 256)


def test_settings_of_a_sampler_or_pruner_go_with_it() -> None:
    toml = """
    [search]
    pruner = "asha"
    pruner_settings = {reduction_factor = 3.0}
    sampler_settings = {multivariate = true}
    """
    search = resolve(toml, "search.pruner=median").search
    assert (search.pruner, search.pruner_settings) == ("median", {})
    assert search.sampler_settings == {"multivariate": True}
    kept = resolve(toml, "search.pruner=asha", "search.sampler=gp").search
    assert (kept.pruner_settings, kept.sampler_settings) == ({"reduction_factor": 3.0}, {})
    with pytest.raises(DefinitionError, match="reduction_factor: unknown setting"):
        resolve(toml, "search.pruner=median", "search.pruner_settings={reduction_factor=3.0}")


def test_a_searched_parameter_can_be_fixed_and_a_range_changed() -> None:
    definition = resolve(
        "[space]\nlayernorm_mix = 1\n", "space.dist_reg_weight={low=0.2,high=0.3}"
    )
    assert definition.space.layernorm_mix == 1.0
    assert definition.to_dict()["space"]["dist_reg_weight"] == {
        "low": 0.2,
        "high": 0.3,
        "log": False,
    }


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ("[trainings]\n", "unknown section [trainings]; did you mean 'training'?"),
        ("[model]\nnum_layer = 2\n", "model.num_layer: unknown key; did you mean 'num_layers'?"),
        ("model = 3\n", "model: a section [model] is required, got 3"),
        ("[model]\nnum_layers = 2.5\n", "model.num_layers: a whole number is required, got 2.5"),
        ("[model]\nnum_layers = true\n", "model.num_layers: a whole number is required, got true"),
        ("[model]\nnum_layers = 0\n", "model.num_layers: at least 1 is required, got 0"),
        ("[model]\ncontext_size = 1\n", "model.context_size: at least 2 is required, got 1"),
        ("[space]\nlr = 1\n", "space.lr: unknown key; valid: dist_reg_weight"),
        (
            "[space]\nphase1_learning_rate = {low = 0.1, high = 0.001}\n",
            "space.phase1_learning_rate: low < high must hold, got low=0.1, high=0.001",
        ),
        (
            "[space]\nphase1_learning_rate = {low = 0.0, high = 0.1, log = true}\n",
            "space.phase1_learning_rate: a log range needs low > 0, got low=0",
        ),
        (
            "[space]\ndist_reg_weight = {low = 0.5, high = 1.5}\n",
            "space.dist_reg_weight: a number in [0, 1] is required, got 1.5",
        ),
        ("[space]\nlayernorm_mix = -0.1\n", "space.layernorm_mix: a number in [0, 1]"),
        ("[space]\nlayernorm_mix = nan\n", "space.layernorm_mix: a number in [0, 1]"),
        ("[space]\nphase1_learning_rate = 0\n", "a positive number is required, got 0"),
        ("[space]\nlayernorm_mix = {low = 0.1, hihg = 1}\n", "unknown key 'hihg'; did you mean"),
        ("[space]\nlayernorm_mix = {low = 0.1}\n", "a number or { low = ..., high = ..."),
        ("[space]\nlayernorm_mix = 'big'\n", "a number or { low = ..., high = ..."),
        (
            "[objective]\nconvergence_weight = 1.2\n",
            "objective.convergence_weight: a weight in [0, 1] is required, got 1.2",
        ),
        ("[objective]\nconvergence_weight = 0.9\n", "must be 1, got 0.9 + 0.5 = 1.4"),
        ("[objective]\nthreshold = 'own'\n", 'objective.threshold: "trial" or a positive'),
        ("[objective]\nthreshold = true\n", "objective.threshold: a string or a number"),
        ("[objective]\nsplit = 'valid'\n", "objective.split: unknown split 'valid'"),
        ("[objective]\nsplit = 'held_out'\n", "unknown split 'held_out'; valid: train, valid"),
        ("[objective]\nkind = 'pareta'\n", "unknown kind 'pareta'; did you mean 'pareto'?"),
        ("[objective]\nconvergence = 'frozn'\n", "did you mean 'frozen'?"),
        (
            "[objective]\nconvergence = 'frozen'\n",
            "one of 0.1 and 0.01 is required, got 'trial'",
        ),
        (
            "[objective]\ndownstream = true\n",
            'objective.downstream: true is possible only with objective.kind = "pareto", got '
            '"score"; set that kind, or leave objective.downstream out',
        ),
        ("[objective]\ndownstream = 1\n", "objective.downstream: true or false is required"),
        (
            "[objective]\nkind = 'pareto'\ndownstream = true\n",
            'search.pruner: only "none" is possible',
        ),
        (
            "[objective]\nkind = 'pareto'\ndownstream = true\n[search]\npruner = 'none'\n"
            "sampler = 'cmaes'\n",
            "one objective is required",
        ),
        ("[objective]\nkind = 'pareto'\n", 'search.pruner: only "none" is possible'),
        ("[training]\ntrainer = 'batsh'\n", "unknown trainer 'batsh'; did you mean 'batch'?"),
        ("[training]\ngradient_clip = nan\n", "gradient_clip: a positive number"),
        ("[objective]\nthreshold = nan\n", "objective.threshold: a positive number"),
        ("[diversity]\nscale = 'untrain'\n", "unknown scale 'untrain'; did you mean 'untrained'?"),
        ("[training]\nlearning_rate_schedule = 'linea'\n", "did you mean 'linear'?"),
        ("[diversity]\nloss = 'deviaton'\n", "unknown loss 'deviaton'; did you mean 'deviation'?"),
        ("[schedule]\nkind = 'constan'\n", "unknown schedule 'constan'; did you mean 'constant'?"),
        ("[schedule]\nstage_weights = 0.5\n", "schedule.stage_weights: a list is required"),
        ("[schedule]\nstage_weights = ['a']\n", "stage_weights[0]: a number is required"),
        ("[schedule]\nstage_weights = [0.5, 2]\n", "stage_weights[1]: a number in [0, 1]"),
        ("[schedule]\nstage_weights = []\n", "at least one weight is required"),
        ("[schedule]\nbalanced_weight = -1\n", "schedule.balanced_weight: a number in [0, 1]"),
        (
            "[schedule]\nkind = 'staged'\n[training]\nnum_iterations = 3\n",
            "got 3 stages for 2",
        ),
        ("[data]\nsource = 'embeded'\n", "unknown source 'embeded'; did you mean 'embedded'?"),
        ("[data]\npath = 'x.txt'\n", 'a path belongs to source = "text"'),
        ("[data]\ntrain_tokens = 100\n", "minibatch_size <= data.train_tokens must hold"),
        ("[data]\ntrain_tokens = 10\n", "data.train_tokens: at least 64 is required, got 10"),
        ("[search]\nsampler = 'tep'\n", "unknown sampler 'tep'; did you mean 'tpe'?"),
        ("[search]\npruner = 'mean'\n", "unknown pruner 'mean'"),
        ("[search]\nmax_sampler_trials = 9\n", "at least search.num_startup_trials = 10"),
        ("[search]\nmax_sampler_trials = -1\n", "max_sampler_trials: 0 (all), or at least"),
        ("[search]\nmin_untrained_rank = 2\n", "min_untrained_rank: a share in [0, 1]"),
        ("[training]\nprecision = 'float16'\n", "unknown value 'float16'; did you mean"),
        ("[training]\ntraining_pass = 'segment'\n", "did you mean 'segments'?"),
        ("[training]\nmeasuring_pass = 'exact'\n", "valid: repaired, sampled, sequential"),
        ("[training]\ntrainer = 'online'\n", "--set training.precision=float32"),
        ("[search]\nseed = -1\n", "search.seed: a whole number from 0"),
        (
            "[training]\nnum_iterations = 4\n[search]\nnum_pruner_warmup_steps = 4\n",
            "num_pruner_warmup_steps < training.num_iterations",
        ),
    ],
)
def test_a_bad_definition_is_refused_with_key_finding_and_file(toml: str, message: str) -> None:
    with pytest.raises(DefinitionError) as error:
        resolve(toml)
    assert message in str(error.value)
    assert "(mine.toml)" in str(error.value)


def test_a_file_that_is_no_toml_is_refused_with_its_place() -> None:
    with pytest.raises(DefinitionError, match=r"mine\.toml: not valid TOML: .*line 2"):
        resolve("[model]\nnum_layers = \n")


def test_an_unknown_definition_lists_the_builtin_names() -> None:
    with pytest.raises(DefinitionError, match="did you mean 'recommended'"):
        read_sections("recomended")


def test_a_bad_setting_is_blamed_on_the_command_line() -> None:
    with pytest.raises(DefinitionError, match=r"num_epochs: at least 0 .* got -1 \(--set\)"):
        resolve("", "training.num_epochs=-1")


@pytest.mark.parametrize("setting", ["training", "training.num_epochs", "=3", "num_epochs=3"])
def test_a_malformed_setting_says_the_form(setting: str) -> None:
    with pytest.raises(DefinitionError, match=r"section\.key=value is required"):
        parse_setting(setting)


def test_a_setting_is_toml_or_bare_text() -> None:
    assert parse_setting("a.b=1.5") == ("a", "b", 1.5)
    assert parse_setting("a.b=median") == ("a", "b", "median")
    assert parse_setting("a.b={low=1,high=2}") == ("a", "b", {"low": 1, "high": 2})


def test_notices_speak_of_reduced_size_and_of_the_cap_on_the_rank() -> None:
    assert StudyDefinition().notices() == []
    [reduced, cap] = resolve("", "data.train_tokens=384").notices()
    assert "mean nothing for the standard size" in reduced
    assert cap.endswith("they cap the effective rank at 50.0%")


def test_the_threshold_is_the_trials_the_spaces_or_the_objectives() -> None:
    searched, params = StudyDefinition(), {"phase1_convergence_threshold": 0.3}
    assert searched.threshold(params) == 0.3
    with pytest.raises(DefinitionError, match="a trial's value is required"):
        searched.threshold({})
    assert resolve("[space]\nphase1_convergence_threshold = 0.2\n").threshold({}) == 0.2
    assert resolve("[objective]\nthreshold = 0.1\n").threshold(params) == 0.1


@pytest.mark.parametrize(
    ("names", "registry"),
    [
        (LOSSES, DIVERSITY_LOSSES),
        (PRECISIONS, PRODUCTS),
        (TRAINER_NAMES, TRAINERS),
        (TEXTS, TEXT_SOURCES),
        (EMBEDDINGS, EMBEDDING_SOURCES),
    ],
)
def test_the_names_that_are_checked_without_torch_are_those_there_are(
    names: tuple[str, ...], registry: Mapping[str, Any]
) -> None:
    assert names == tuple(registry)
