"""cvfp-opt: hyperparameter optimization for the CVFP (Context Vector Fixed-Point) model."""

import os
from typing import TYPE_CHECKING

from cvfp_opt.version import __version__ as __version__

if TYPE_CHECKING:
    from cvfp_opt.rerun.loaded import LoadedNetwork


def load(folder: str | os.PathLike[str]) -> "LoadedNetwork":
    """Open a network that `cvfp-opt best --save DIR` or `train --save DIR` wrote.

    Nothing in the folder is executed, and a file that was changed is refused.

    Raises:
        CheckpointError: no such folder, another format, damaged, or another tokenizer than this
            version ships.
    """
    from cvfp_opt.rerun.loaded import load_folder  # torch takes seconds, and not all need it

    return load_folder(folder)
