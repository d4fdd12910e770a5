"""Import all that a worker needs: runs once, in the server that worker processes are forked from.

Nothing here may start a thread or touch a GPU: neither survives a fork.
"""

import gc
import os

# Let go of the terminal or pipe, which would stay open as long as the server; workers get it anew.
_null = os.open(os.devnull, os.O_RDWR)
for _descriptor in range(3):
    os.dup2(_null, _descriptor)
if _null > 2:
    os.close(_null)

# each worker's first optimizer would import it, with 700 modules
import torch._dynamo  # noqa: E402, F401

import cvfp_opt.model.compiled  # noqa: E402
import cvfp_opt.workers.process  # noqa: E402, F401

gc.freeze()  # a collection would copy the pages that workers share
