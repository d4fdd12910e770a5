"""The audit of a saved network, or of a trial."""

from pathlib import Path

from cvfp_opt.errors import CheckpointError, StudyError
from cvfp_opt.store.record.records import TrialRecord
from cvfp_opt.store.record.summary import Summary
from cvfp_opt.store.record.trial_attributes import StoredAudit


def audit_of_folder(folder: Path) -> StoredAudit:
    """Read the audit of a saved network. Raises CheckpointError if it was not audited."""
    from cvfp_opt.store.files.saved_networks import read_checkpoint

    audit: StoredAudit | None = read_checkpoint(folder).account.result.get("audit")
    if not audit or "residual_quantiles" not in audit:
        raise CheckpointError(f"{folder}: its run was not audited: it has no residuals")
    return audit


def audit_of_trial(summary: Summary, record: TrialRecord) -> StoredAudit:
    """Take the audit of a trial. Raises StudyError if it was not audited."""
    if "residual_quantiles" not in record.audit:
        named = "it has no residuals; name an audited trial with --trial"
        raise StudyError(
            f"trial {record.number} of study {summary.name!r} was not audited "
            f"({record.state}): {summary.note or named}"
        )
    return record.audit
