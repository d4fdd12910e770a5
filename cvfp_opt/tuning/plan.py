"""The request that `run` was given: resolved, and checked before anything is written."""

import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import optuna

from cvfp_opt.errors import DataError, StudyError
from cvfp_opt.escaping import printable, quoted
from cvfp_opt.store.database.kinds import kind_of
from cvfp_opt.store.database.location import Location
from cvfp_opt.store.database.retry import AT_ONCE, LOOKING, Patience
from cvfp_opt.store.database.storage import Store, open_for_reading
from cvfp_opt.store.queue.announcing import announce_submitted
from cvfp_opt.store.record.definition_sections import completed, missing_keys
from cvfp_opt.store.record.differences import Difference, differences, record_drift, refused
from cvfp_opt.store.record.owner import this_owner
from cvfp_opt.store.record.queue_entry import NOT_SAID, QUEUE, QueueEntry
from cvfp_opt.store.record.records import StudyRecord
from cvfp_opt.store.record.studies import (
    check_new_name,
    create_study,
    has_study,
    load_study,
    refuse_foreign,
)
from cvfp_opt.store.record.trial_attributes import StoredEnvironment
from cvfp_opt.tuning.custom_code import check_allowed, load_code
from cvfp_opt.tuning.definition import StudyDefinition
from cvfp_opt.tuning.definition_file import (
    Sections,
    data_settings,
    overlaid,
    read_sections,
    resolve_definition,
)
from cvfp_opt.tuning.drift import (
    facts,
    facts_of_record,
    refuse_drift,
    refuse_unmixable,
)
from cvfp_opt.tuning.sampler_pruner import pruner_of, sampler_of
from cvfp_opt.tuning.typed_values import written

if TYPE_CHECKING:
    from cvfp_opt.training.data import Tokens

DEFAULT_DEFINITION = "recommended"


@dataclass(frozen=True, kw_only=True)
class Request:
    """The words that the user typed.

    Attributes:
        definition: a name or path; None to go on with the study's own, or for the default.
        sections: of a definition that was read already, and is only named ``definition``.
        study_name: None for the definition's name.
        settings: ``section.key=value`` each.
        data: path of the text; None for the definition's.
        seed: None for the definition's.
        allow_code: whether code that only the study's database names may be run.
        allow_drift: whether trials may be added by another definition, text or code than the
            study's.
        confirms: whether `confirm` is to run the study's own points: it takes no settings and
            allows no drift.
    """

    definition: str | None = None
    sections: Sections | None = None
    study_name: str | None = None
    settings: Sequence[str] = ()
    data: str | None = None
    seed: int | None = None
    allow_code: bool = False
    allow_drift: bool = False
    confirms: bool = False

    @property
    def name(self) -> str:
        """Give the name of the study meant."""
        return self.study_name or Path(self.definition or DEFAULT_DEFINITION).stem

    def resolve(self, record: StudyRecord | None) -> StudyDefinition:
        """Resolve the definition asked for, on top of the study's own if none is named.

        Keys that the study is older than need not be asked for.
        """
        sections, settings, where = self._asked(record)
        return resolve_definition(sections, settings, where=where)

    def notes(self, record: StudyRecord | None) -> list[str]:
        """Say which first points are not tried, because the settings changed the space."""
        sections, settings, _ = self._asked(record)
        return overlaid(sections, settings)[1]

    def _asked(self, record: StudyRecord | None) -> tuple[Sections, list[str], str]:
        """Give the sections that are asked for, the settings that change them, and a name."""
        former = missing_keys(record.definition) if record is not None else {}
        settings = [
            f"{section}.{key}={written(value)}"
            for section, keys in former.items()
            for key, value in keys.items()
        ]
        settings += self.settings
        settings += data_settings(self.data)
        settings += [f"search.seed={self.seed}"] if self.seed is not None else []
        sections: Sections
        if self.definition is None and record is not None:
            sections, where = completed(record.definition), f"study {printable(self.name)}"
        else:
            where = self.definition or DEFAULT_DEFINITION
            sections = read_sections(where) if self.sections is None else self.sections
        return sections, settings, where


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A study to create or to go on with; everything checked.

    Attributes:
        name: of the study.
        definition: frozen, or about to be; its ``data`` says where the text lies now.
        tokens: of its text.
        code: digests of the user's own functions, see tuning.custom_code.
        notes: what was left out of what was asked for, a sentence each.
    """

    name: str
    definition: StudyDefinition
    tokens: "Tokens"
    code: dict[str, str]
    request: Request = field(repr=False)
    notes: tuple[str, ...] = ()

    def enter(
        self, store: Store, environment: StoredEnvironment, entry: QueueEntry = NOT_SAID
    ) -> tuple[optuna.Study, bool]:
        """Open the study, creating it if need be; return it, and whether it was created.

        Args:
            store: where it is.
            environment: of its first worker; empty where nobody knows it.
            entry: what is wanted of it if it is created.
        """
        created = store.patiently(lambda: self._create(store, environment, entry))
        study = store.patiently(lambda: self.load(store))
        if created and entry is not NOT_SAID:
            store.patiently(lambda: announce_submitted(store, study, entry))
        return study, created

    def new_record(self, environment: StoredEnvironment) -> StudyRecord:
        """Make the record of a study that is created now, in this environment."""
        return new_record(self.definition, self.tokens, self.code, environment)

    def _create(self, store: Store, environment: StoredEnvironment, entry: QueueEntry) -> bool:
        with store.lock():
            record = _record(store, self.name)
            if record is None:
                wanted = {} if entry is NOT_SAID else {QUEUE: entry.to_dict()}
                create_study(store, self.name, self.new_record(environment), wanted)
                return True
            # since the plan was made, another process may have created it differently
            self._check_drift(store, record)
        return False

    def drift(self, study: optuna.Study, environment: StoredEnvironment) -> list[Difference]:
        """Compare this worker with what the study was created with and on."""
        record = StudyRecord.of(study)
        if record is None:
            return []
        ours = facts(self.definition, self.tokens, self.code, environment)
        return differences(facts_of_record(record), ours)

    def _check_drift(self, store: Store, record: StudyRecord) -> None:
        """Refuse what differs, or record that it was allowed. Call under the store's lock."""
        study = load_study(store, self.name)
        found = refused(self.drift(study, {}))
        if not found:
            return
        option = store.location.option
        if not self.request.allow_drift:
            refuse_drift(self.name, found, self.definition, option)
        trials = study.get_trials(deepcopy=False)
        refuse_unmixable(self.name, record, self.definition, option, trials)
        record_drift(study, found)

    def load(self, store: Store) -> optuna.Study:
        """Open the study that was entered, with its sampler and pruner."""
        sampler, pruner = sampler_of(self.definition), pruner_of(self.definition)
        return load_study(store, self.name, sampler=sampler, pruner=pruner)


def new_record(
    definition: StudyDefinition,
    tokens: "Tokens",
    code: Mapping[str, str],
    environment: StoredEnvironment,
) -> StudyRecord:
    """Make the record of a study that begins now.

    Args:
        definition, tokens: see Plan.
        code: see ``load_code``.
        environment: of its first worker; empty where nobody knows it.
    """
    return StudyRecord(
        definition=definition.to_dict(),
        definition_digest=definition.digest(),
        data_digest=tokens.digest,
        sources=tokens.sources,
        created=time.time(),
        environment=environment,
        code=dict(code),
        uuid=uuid.uuid4().hex,
    )


def make_plan(location: Location, request: Request, patiently: Patience = LOOKING) -> Plan:
    """Check the database, the definition, the study's own if it exists, and the text.

    Args:
        location: of the database.
        request: what the user typed.
        patiently: how to wait for a database that is away.

    Raises:
        CvfpOptError: whichever of them is not as required; nothing was created or changed.
    """
    record, definition = resolve_request(location, request, patiently)
    if record is not None:
        if request.allow_drift:
            refuse_unmixable(request.name, record, definition, location.option)
        else:  # before the text is read: what was asked for may not be readable
            theirs = {"definition": facts_of_record(record)["definition"]}
            found = differences(theirs, {"definition": definition.flat()})
            refuse_drift(request.name, found, definition, location.option)
        typed = request.definition is not None
        check_allowed(request.name, definition, allowed=typed or request.allow_code)
    sampler_of(definition)  # what it needs is missed before anything is written
    code = load_code(definition)
    try:
        tokens = definition.load_tokens()
    except DataError as error:
        if record is None or request.data is not None:
            raise
        options = ["--set data.path=PATH" if definition.data.hub_copy else "--data PATH"]
        options += ["--set embedding.path=PATH"] if definition.embedding.path else []
        raise DataError(
            f"{error} (the text of study {request.name!r}; if it lies elsewhere now, "
            f"add {' or '.join(options)})"
        ) from None
    if record is not None and not request.allow_drift:
        found = differences(facts_of_record(record), facts(definition, tokens, code, {}))
        refuse_drift(
            request.name, found, definition, location.option, mendable=not request.confirms
        )
    return Plan(
        name=request.name,
        definition=definition,
        tokens=tokens,
        code=code,
        request=request,
        notes=tuple(request.notes(record)),
    )


def resolve_request(
    location: Location, request: Request, patiently: Patience = LOOKING
) -> tuple[StudyRecord | None, StudyDefinition]:
    """Read the study's record, None if it is new, and the definition that is asked for.

    Raises:
        CvfpOptError: the database or the definition is not as required.
    """
    record, entry = patiently(lambda: _record_at(location, request.name))
    if request.study_name is None:
        _refuse_of_others(request.name, entry, location)
    return record, request.resolve(record)


def _refuse_of_others(name: str, entry: QueueEntry, location: Location) -> None:
    """Refuse to join somebody's study in silence, because both typed the same definition.

    Raises:
        StudyError: it has another owner; says what to type to join it, or for one's own.
    """
    own = this_owner()
    if entry.owner and own and entry.owner != own:
        raise StudyError(
            f"study {name!r} in {location.where} is {entry.owner}'s; to work on it with them, add "
            f"--study-name {quoted(name)}; for one of your own, "
            f"--study-name {quoted(f'{name}-{own}')}"
        )


def _record_at(location: Location, name: str) -> tuple[StudyRecord | None, QueueEntry]:
    """Read a study's record, in a database that can be written to, and what is wanted of it."""
    kind_of(location).check_writable(location)
    if not kind_of(location).has_database(location):
        check_new_name(name)
        return None, NOT_SAID
    with open_for_reading(location, AT_ONCE) as store:
        record = _record(store, name)
        if record is None:
            return None, NOT_SAID
        return record, QueueEntry.of(load_study(store, name).user_attrs)


def _record(store: Store, name: str) -> StudyRecord | None:
    """Read the record of a study; None if there is none (or its creation was cut off).

    Raises:
        StudyError: another program's, a newer version's, or a mirror; or no study can have the
            name.
    """
    if not has_study(store, name):
        check_new_name(name)
        return None
    study = load_study(store, name)
    refuse_foreign(study, store)
    return StudyRecord.of(study)
