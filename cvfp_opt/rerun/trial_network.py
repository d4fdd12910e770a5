"""The trained network of a trial: the kept one, or trained again from its record."""

import torch

from cvfp_opt.errors import StudyError
from cvfp_opt.escaping import quoted
from cvfp_opt.model.network import ContextNetwork
from cvfp_opt.rerun.loaded import LoadedNetwork
from cvfp_opt.rerun.repeat import Conditions, Repetition, prepare_repetition
from cvfp_opt.single.run_card import describe_run
from cvfp_opt.single.train import Trained, account_of
from cvfp_opt.store.database.location import Location
from cvfp_opt.store.files.artifact_stores import open_artifacts
from cvfp_opt.store.files.saved_networks import Account
from cvfp_opt.store.files.trial_files import read_network
from cvfp_opt.store.record.differences import changing_numbers, in_words
from cvfp_opt.store.record.records import TrialRecord
from cvfp_opt.store.record.summary import Summary
from cvfp_opt.training.events import Observer, ignore
from cvfp_opt.training.run import weights_digest
from cvfp_opt.tuning.objective import Objective


def load_trial(
    summary: Summary,
    trial: TrialRecord,
    location: Location,
    artifacts: str | None = None,
    conditions: Conditions | None = None,
    observe: Observer = ignore,
) -> LoadedNetwork:
    """Load the network of a complete trial.

    Args:
        summary: of its study.
        trial: the record.
        location, artifacts: of its database, where networks of the best trials are kept.
        conditions: where its text and device are now.
        observe: notified of the training, if none was kept.

    Raises:
        StudyError: it is not complete; or it ends with other weights here.
        CvfpOptError: it cannot be trained again, see ``prepare_repetition``.
    """
    if trial.state != "complete":
        raise StudyError(
            f"study {summary.name!r}: a complete trial is required, {trial.number} is "
            f"{trial.state}; `cvfp-opt best --study-name {quoted(summary.name)}` names one"
        )
    repetition = prepare_repetition(summary, trial, conditions)
    network = _kept(repetition, location, artifacts)
    if network is None:
        trained = repetition.train(observe)
        network = trained.network
        if trained.result.weights_digest != trial.environment.get("weights_digest"):
            differences = changing_numbers(repetition.differences)
            raise StudyError(
                f"study {summary.name!r}, trial {trial.number}, trained again: it ended with "
                f"other weights ({in_words(differences) or 'nothing that is recorded differs'})"
            )
    return _loaded(repetition, network)


def _kept(
    repetition: Repetition, location: Location, artifacts: str | None
) -> ContextNetwork | None:
    """Read the kept network, if it has the weights of the record."""
    arrays = read_network(open_artifacts(location, artifacts), repetition.identity.uuid)
    if arrays is None:
        return None
    objective = repetition.objective
    number, seed = repetition.identity.number, repetition.identity.seed
    network = objective.prepare({}, number, seed=seed).network
    weights = {name: torch.from_numpy(array) for name, array in arrays.items()}
    own = {name: value.shape for name, value in network.state_dict().items()}
    if {name: value.shape for name, value in weights.items()} != own:
        return None
    network.load_state_dict(weights)
    recorded = repetition.trial.environment.get("weights_digest")
    return network if weights_digest(network) == recorded else None


def loaded_run(trained: Trained) -> LoadedNetwork:
    """Give the network of a run that has just ended, as `load` gives one of a folder."""
    account = account_of(
        trained.objective,
        seed=trained.seed,
        number=trained.number,
        result=trained.result.to_dict(),
        environment=trained.environment,
    )
    return _with_text(trained.objective, trained.network, account, describe_run(trained, ""))


def _loaded(repetition: Repetition, network: ContextNetwork) -> LoadedNetwork:
    objective, identity, trial = repetition.objective, repetition.identity, repetition.trial
    known = ("optimizer_steps", "diversity_scale", "weights_digest")
    account = account_of(
        objective,
        seed=identity.seed,
        number=identity.number,
        result={
            "status": trial.status,
            "reason": trial.reason,
            "iterations": trial.iterations,
            "audit": trial.audit,
            "seconds": trial.seconds,
            **{key: trial.environment.get(key) for key in known},
        },
        environment=trial.environment,
        origin={
            "study": repetition.study,
            "trial": trial.number,
            "uuid": identity.uuid,
            "score": trial.value,
        },
    )
    return _with_text(objective, network, account)


def _with_text(
    objective: Objective, network: ContextNetwork, account: Account, card: str = ""
) -> LoadedNetwork:
    number, seed = account.origin["number"], account.origin["seed"]
    return LoadedNetwork(
        network=network.cpu().requires_grad_(False),
        tokenizer=objective.tokens.tokenizer,
        table=objective.embeddings(number, seed=seed),
        definition=objective.definition,
        account=account,
        card=card,
    )
