"""Whether trials of two studies may stand in one."""

import json
from typing import Any

from cvfp_opt.search.definition import StudyDefinition
from cvfp_opt.store.record.definition_sections import completed
from cvfp_opt.store.record.records import StudyRecord

_SEED = "search.seed"


def disagreements(first: StudyRecord, other: StudyRecord) -> list[str]:
    """What makes trials of two studies different things, a line each; their seeds do not."""
    one, two = _flat(first), _flat(other)
    return [
        f"{key}: {json.dumps(two.get(key))}, the first has {json.dumps(one.get(key))}"
        for key in one | two
        if key != _SEED and one.get(key) != two.get(key)
    ]


def _flat(record: StudyRecord) -> dict[str, Any]:
    return StudyDefinition.from_dict(completed(record.definition)).flat() | {
        "digest of the text": record.data_digest,
        "digest of the embeddings": record.sources.get("embedding", {}).get("digest"),
        "digests of your own code": record.code,
    }
