"""The table of all checks, by name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cvfp_opt.store.doctor.artifacts import (
    find_damaged_checkpoints,
    find_leftover_artifacts,
    find_missing_artifacts,
)
from cvfp_opt.store.doctor.context import Context
from cvfp_opt.store.doctor.database import find_damage, find_foreign_schema
from cvfp_opt.store.doctor.enqueued import find_unfit_points
from cvfp_opt.store.doctor.files import (
    find_journals,
    find_lock_files,
    find_temporary_files,
    find_unfinished,
)
from cvfp_opt.store.doctor.finding import Finding
from cvfp_opt.store.doctor.identities import find_identities, find_unreadable_records
from cvfp_opt.store.doctor.mirroring import find_mirrors_out_of_step
from cvfp_opt.store.doctor.numbering import find_numbering
from cvfp_opt.store.doctor.running import find_dead_leases, find_orphan_leases, find_zombies
from cvfp_opt.store.doctor.scores import (
    find_contradicted_rates,
    find_missing_audits,
    find_wrong_intermediate_values,
    find_wrong_scores,
)
from cvfp_opt.store.doctor.unsent import find_unsent


@dataclass(frozen=True, kw_only=True)
class Check:
    """A check, and what it needs.

    Attributes:
        find: looks at it; changes nothing.
        needs_studies: whether it looks at rows of studies, which may be unreadable.
    """

    find: Callable[[Context], list[Finding]]
    needs_studies: bool = True


# Checks are made, and repairs too, in this order: what later ones rest on comes first.
# docs/doctor.md explains each.
CHECKS: Mapping[str, Check] = {
    "journals": Check(find=find_journals, needs_studies=False),
    "damage": Check(find=find_damage, needs_studies=False),
    "schema": Check(find=find_foreign_schema, needs_studies=False),
    "records": Check(find=find_unreadable_records),
    "numbering": Check(find=find_numbering),
    "births": Check(find=find_identities),
    "waiting-points": Check(find=find_unfit_points),
    "orphan-leases": Check(find=find_orphan_leases),
    "unsent-results": Check(find=find_unsent),
    "dead-leases": Check(find=find_dead_leases),
    "zombies": Check(find=find_zombies),
    "scores": Check(find=find_wrong_scores),
    "intermediate-values": Check(find=find_wrong_intermediate_values),
    "residuals": Check(find=find_contradicted_rates),
    "audits": Check(find=find_missing_audits),
    "mirrors": Check(find=find_mirrors_out_of_step),
    "missing-artifacts": Check(find=find_missing_artifacts),
    "damaged-checkpoints": Check(find=find_damaged_checkpoints),
    "leftover-artifacts": Check(find=find_leftover_artifacts),
    "temporary-files": Check(find=find_temporary_files, needs_studies=False),
    "lock-files": Check(find=find_lock_files, needs_studies=False),
    "unfinished-runs": Check(find=find_unfinished, needs_studies=False),
}
