"""Faults, at least one for every check of the doctor."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from doctoring import NO_PROCESS, PRUNED, WAITING, Site, iterations, write_old
from planting import (
    ARTIFACTS,
    add_lease_column,
    drop_lease_column,
    end_running_twin,
    fail_waiting,
    name_artifact,
    one_checkpoint_left,
    plant_broken_index,
    plant_checkpoint_of_ended,
    plant_confirmation_of_nothing,
    plant_copy_of_failed,
    plant_dead_lease,
    plant_folder_as_artifact,
    plant_foreign_birth,
    plant_foreign_running,
    plant_foreign_trial,
    plant_former_lease,
    plant_gap,
    plant_journal,
    plant_log,
    plant_mirror_of_nothing,
    plant_newer_record,
    plant_no_audit,
    plant_no_birth,
    plant_no_copy,
    plant_no_folder,
    plant_no_record,
    plant_orphan_lease,
    plant_other_copy,
    plant_other_measurement,
    plant_other_point,
    plant_other_threshold,
    plant_other_weights,
    plant_running_twin,
    plant_taken_from_the_queue,
    plant_temporary,
    plant_torn_attribute,
    plant_torn_checkpoint,
    plant_truncation,
    plant_twin_birth,
    plant_twin_number,
    plant_unknown_file,
    plant_unsent,
    plant_waiting_list,
    plant_waiting_stranger,
    plant_zombie,
    remove_unsent,
    restore_artifact,
    set_audit,
    set_reported,
    set_schema,
    set_value,
    two_checkpoints_left,
    unsent,
    waits,
    was_sent,
)

from cvfp_opt.store.record.records import FORMAT


@dataclass(frozen=True, kw_only=True)
class Fault:
    """Something that is not as it should be.

    Attributes:
        check: that finds it, and nothing else does.
        plant: makes it so.
        says: a part of the line that tells of it.
        repairs: whether ``--repair`` mends it.
        harmless: whether it is told only.
        cure: what the user is told to do, where there is no repair; None where that is to have
            another copy.
        stays: what has to be true after the repair.
    """

    check: str
    plant: Callable[[Site], object]
    says: str
    repairs: bool = True
    harmless: bool = False
    cure: Callable[[Site], object] | None = None
    stays: Callable[[Site], object] = lambda site: True


FAULTS = (
    Fault(check="journals", plant=plant_log, says="are not in the database file yet"),
    Fault(check="journals", plant=plant_journal, says="a write that was broken off"),
    Fault(
        check="damage", plant=plant_broken_index, says="damaged: Fragmentation of", repairs=False
    ),
    Fault(check="damage", plant=plant_truncation, says="malformed", repairs=False),
    Fault(
        check="schema",
        plant=set_schema("v9.9.9.a"),
        says="written by a newer Optuna",
        repairs=False,
        cure=set_schema("v3.2.0.a"),
    ),
    Fault(
        check="schema",
        plant=set_schema("v2.6.0.a"),
        says="optuna storage upgrade --storage",
        repairs=False,
        cure=set_schema("v3.2.0.a"),
    ),
    Fault(
        check="schema",
        plant=set_schema(None),
        says="tables without a version",
        repairs=False,
        cure=set_schema("v3.2.0.a"),
    ),
    Fault(
        check="schema",
        plant=add_lease_column,
        says="does not know, or misses: planet",
        repairs=False,
        cure=drop_lease_column,
    ),
    Fault(
        check="records",
        plant=plant_newer_record,
        says=f"record format {FORMAT + 1}, this version reads up to {FORMAT}",
        repairs=False,
    ),
    Fault(check="records", plant=plant_no_record, says="is no record of a study", repairs=False),
    Fault(
        check="records",
        plant=plant_torn_attribute,
        says="trial 3: attribute environment cannot be read",
        repairs=False,
    ),
    Fault(check="numbering", plant=plant_gap, says="trial 3: there is no trial of that number"),
    Fault(check="numbering", plant=plant_twin_number, says="trial 3: there is more than one"),
    Fault(check="births", plant=plant_no_birth, says="trial 0: no identity, though run here"),
    Fault(check="births", plant=plant_twin_birth, says="trials 0, 1: one and the same identity"),
    Fault(
        check="births",
        plant=plant_running_twin,
        says="wait until they have ended",
        repairs=False,
        cure=end_running_twin,
    ),
    Fault(
        check="births",
        plant=plant_foreign_birth,
        says="trial 0: attribute cvfp_opt:birth is no identity that can be read",
        repairs=False,
    ),
    Fault(
        check="waiting-points",
        plant=plant_waiting_stranger,
        says="trial 4: waits, and cannot be run: phase1_convergence_threshold: a number from 0.05",
        repairs=False,
        cure=fail_waiting,
    ),
    Fault(
        check="waiting-points",
        plant=plant_waiting_list,
        says="trial 4: waits, and cannot be run: attribute fixed_params: a table of parameters",
        repairs=False,
        cure=fail_waiting,
    ),
    Fault(check="orphan-leases", plant=plant_orphan_lease, says="1 lease of trials that are not"),
    Fault(
        check="unsent-results",
        plant=plant_unsent,
        says="study s: 1 result in ",
        stays=was_sent,
    ),
    Fault(
        check="unsent-results",
        plant=lambda site: unsent(site, format=99),
        says="format 99, this version has 1",
        repairs=False,
        cure=remove_unsent,
    ),
    Fault(
        check="unsent-results",
        plant=lambda site: unsent(site, planet="earth"),
        says="no result that can be read",
        repairs=False,
        cure=remove_unsent,
    ),
    Fault(
        check="unsent-results",
        plant=lambda site: unsent(site, study="b" * 32),
        says="its study is not in this database",
        repairs=False,
        harmless=True,
    ),
    Fault(
        check="dead-leases",
        plant=plant_dead_lease,
        says=f"study s, trial 4: running in the database only (process {NO_PROCESS} on ",
        stays=waits,
    ),
    Fault(
        check="dead-leases",
        plant=plant_former_lease,
        says="process 1 on elsewhere is gone",
        stays=waits,
    ),
    Fault(
        check="zombies",
        plant=plant_zombie,
        says="type `cvfp-opt trial fail 4 --study-name s --storage x.db`",
        repairs=False,
        cure=fail_waiting,
    ),
    Fault(
        check="zombies",
        plant=plant_taken_from_the_queue,
        says="trial 4: running, but no worker of this program runs it",
        repairs=False,
        cure=fail_waiting,
    ),
    Fault(
        check="zombies",
        plant=plant_foreign_running,
        says="note: study theirs, trial 0: running, as far as the database knows",
        repairs=False,
        harmless=True,
    ),
    Fault(
        check="scores",
        plant=set_value(0, 0.95),
        says="trial 0: value, and score: 0.95, not 0.625",
        repairs=False,
        cure=set_value(0, 0.625),
    ),
    Fault(
        check="scores",
        plant=set_value(PRUNED, 0.95),
        says="trial 3: value, and the last one reported: 0.95, not 0.375",
        repairs=False,
        cure=set_value(PRUNED, 0.375),
    ),
    Fault(
        check="scores",
        plant=plant_other_measurement,
        says="scored effective rank, and the measured one: 0.75, not 0.5",
        repairs=False,
    ),
    Fault(
        check="scores",
        plant=plant_other_weights,
        says="trials 0, 1, 2: score, and its parts by the study's weights: 0.625, not 0.6875 in",
        repairs=False,
    ),
    Fault(
        check="intermediate-values",
        plant=set_reported(0.5),
        says="reported value, and the iteration's score: 0.5, not 0.375",
        repairs=False,
        cure=set_reported(0.375),
    ),
    Fault(
        check="intermediate-values",
        plant=set_reported(None),
        says="reported value, and the iteration's score: nothing, not 0.375",
        repairs=False,
    ),
    Fault(
        check="intermediate-values",
        plant=lambda site: site.set_attribute(
            PRUNED, "metrics", iterations()[0] | {"effective_rank": 0.5}
        ),
        says="trial 3: effective rank, and that of the last iteration: 0.5, not 0.75",
        repairs=False,
    ),
    Fault(
        check="residuals",
        plant=plant_other_threshold,
        says="convergence rate at its own threshold, and the residuals: 0.5, not 0.75",
        repairs=False,
    ),
    Fault(
        check="residuals",
        plant=set_audit(absolute_convergence=0.75),
        says="convergence at 0.1, and the residuals: 0.75, not 0.25",
        repairs=False,
        cure=set_audit(),
    ),
    Fault(
        check="residuals",
        plant=set_audit(scale_free_convergence=0.25),
        says="scale-free convergence at 0.1, and the residuals: 0.25, not 0.5",
        repairs=False,
        cure=set_audit(),
    ),
    Fault(
        check="residuals",
        plant=set_audit(residual_quantiles=[0.2, 0.1]),
        says="residual quantiles, which have to ascend",
        repairs=False,
        cure=set_audit(),
    ),
    Fault(
        check="audits",
        plant=plant_no_audit,
        says="trial 0: complete, but without an audit",
        repairs=False,
    ),
    Fault(
        check="audits",
        plant=plant_foreign_trial,
        says="note: study s, trial 5: complete, but without an audit (added by another program",
        repairs=False,
        harmless=True,
    ),
    Fault(
        check="mirrors", plant=plant_no_copy, says="study s/pareto: 1 complete trial not copied"
    ),
    Fault(check="mirrors", plant=plant_other_copy, says="study s/pareto: 1 copy of trials that"),
    Fault(check="mirrors", plant=plant_other_point, says="study s/pareto: 1 copy of trials"),
    Fault(check="mirrors", plant=plant_copy_of_failed, says="study s/pareto: 1 copy of trials"),
    Fault(
        check="mirrors",
        plant=plant_mirror_of_nothing,
        says="study gone/pareto: a mirror with 0 trials of a study that is gone",
    ),
    Fault(
        check="mirrors",
        plant=plant_confirmation_of_nothing,
        says="note: study gone/confirm: a confirmation with 0 runs of a study that is gone",
        repairs=False,
        harmless=True,
    ),
    Fault(
        check="missing-artifacts",
        plant=name_artifact(WAITING, ""),
        says="trial 4: 1 checkpoint not there",
    ),
    Fault(
        check="missing-artifacts",
        plant=name_artifact(0, "1234"),
        says="trial 0: 1 artifact not there: 1234",
        repairs=False,
        cure=restore_artifact,
    ),
    Fault(
        check="missing-artifacts",
        plant=plant_no_folder,
        says="no such folder, and trials name 1 artifact in it",
        repairs=False,
    ),
    Fault(
        check="missing-artifacts",
        plant=plant_folder_as_artifact,
        says="check missing-artifacts cannot be made (",
        repairs=False,
    ),
    Fault(
        check="damaged-checkpoints",
        plant=plant_torn_checkpoint,
        says="trial 4: a checkpoint that cannot be used",
        stays=one_checkpoint_left,
    ),
    Fault(
        check="leftover-artifacts",
        plant=plant_checkpoint_of_ended,
        says="3 checkpoints of trials that have ended",
        stays=two_checkpoints_left,
    ),
    Fault(
        check="leftover-artifacts",
        plant=plant_unknown_file,
        says="1 file, 19 bytes, that no trial of this database names",
        repairs=False,
        harmless=True,
    ),
    Fault(check="temporary-files", plant=plant_temporary, says="4711.tmp: an unfinished file"),
    Fault(
        check="temporary-files",
        plant=lambda site: write_old(ARTIFACTS / f".{'a' * 32}-1.{'b' * 32}.tmp", b"half"),
        says="an unfinished file, 4 bytes",
    ),
    Fault(
        check="lock-files",
        plant=lambda site: write_old(Path("gone.db.lock")),
        says="the lock of a database that is gone",
        stays=lambda site: not Path("gone.db.lock").exists(),
    ),
    Fault(
        check="unfinished-runs",
        plant=lambda site: write_old(Path("storage/unfinished/one.safetensors"), b"1234"),
        says="note: ",
        repairs=False,
        harmless=True,
    ),
)
