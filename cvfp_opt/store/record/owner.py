"""The owner of the studies that this process creates."""

import getpass
import os

from cvfp_opt.escaping import printable

# In containers all users are called root.
VARIABLE = "CVFP_OPT_OWNER"
_LONGEST = 64


def this_owner() -> str:
    """Name the user of this process: by CVFP_OPT_OWNER, or as the system does; "" if it cannot."""
    name = os.environ.get(VARIABLE, "").strip()
    if not name:
        try:
            name = getpass.getuser()
        except (OSError, KeyError):  # a user id without a name, as in some containers
            return ""
    return printable(name)[:_LONGEST].strip()
