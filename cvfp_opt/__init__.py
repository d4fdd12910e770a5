"""cvfp-opt: hyperparameter optimization for the CVFP (Context Vector Fixed-Point) model."""

import os
from typing import TYPE_CHECKING

from cvfp_opt.version import __version__ as __version__

if TYPE_CHECKING:
    from cvfp_opt.rerun.loaded import LoadedNetwork


def load(place: str | os.PathLike[str], *, revision: str | None = None) -> "LoadedNetwork":
    """Open a network that `cvfp-opt best --save DIR` or `train --save DIR` wrote.

    Nothing in the folder is executed, and a file that was changed is refused.

    Args:
        place: the folder; or, where there is none of that name, ``user/name`` of a repository on
            the Hugging Face hub that has its files. They are kept in the hub's cache.
        revision: commit, tag or branch on the hub, by default the newest. With the full hash of
            a commit it is always the same network, and needs the hub only once.

    Raises:
        CheckpointError: no such folder or repository, another format, damaged, or another
            tokenizer than this version ships; or the hub cannot be reached.
    """
    from cvfp_opt.rerun.loaded import load  # torch takes seconds, and not all need it

    return load(place, revision=revision)
