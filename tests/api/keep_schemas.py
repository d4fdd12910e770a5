"""Keep the schemas as they are now, for tests/api/test_schemas.py: after keys were added."""

import json
import sys
from pathlib import Path

sys.path += [str(Path(__file__).parents[1]), str(Path(__file__).parent)]

from test_schemas import KEPT, facts

from cvfp_opt.api.schemas import ENTRIES, components

if __name__ == "__main__":
    kept = dict(facts(components(ENTRIES)))
    KEPT.write_text(json.dumps(kept, indent=0, sort_keys=True) + "\n")
