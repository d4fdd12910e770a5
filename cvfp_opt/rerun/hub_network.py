"""Networks on the Hugging Face hub: the files of a commit, downloaded once; needs extra ``hub``.

They lie in the hub's own cache (``HF_HOME``), a folder for each commit, and are read as any
other folder.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cvfp_opt.errors import CheckpointError, CvfpOptError
from cvfp_opt.escaping import listed
from cvfp_opt.store.files.saved_networks import ACCOUNT, FILES, MAX_ACCOUNT, MAX_FILE, WEIGHTS
from cvfp_opt.training.characters import looked_in
from cvfp_opt.training.hub_packages import first_line, require

# What the hub allows in names, and the full hash of a commit.
_NAME = re.compile(r"(?!.*(--|\.\.|\.git$))[A-Za-z0-9_][\w.-]*/[\w.-]*[A-Za-z0-9_]", re.ASCII)
_LONGEST = 96
_HASH = re.compile(r"[0-9a-f]{40}")


def is_name(text: str) -> bool:
    """Check whether a text has the form of a repository's name on the hub, ``user/name``."""
    return len(text) <= _LONGEST and _NAME.fullmatch(text) is not None


def fetch(name: str, revision: str) -> tuple[Path, str]:
    """Download a network, unless it was; return its folder, and the hash of its commit.

    Only files of a saved network are downloaded, none that is larger than may be read, and the
    account last: where it lies, the others do. So a full hash that was loaded before needs no
    network.

    Args:
        name: of the repository, ``user/name``.
        revision: commit, tag or branch there; "" for the newest.

    Raises:
        CheckpointError: the extra, the repository, the revision, the hub or a file is missing.
    """
    missing = f"{name}: there is no such folder{looked_in(Path(name))}"
    client = require("huggingface_hub", f"{missing}; from the hub", error=CheckpointError)
    if _HASH.fullmatch(revision):
        kept = client.try_to_load_from_cache(name, ACCOUNT, revision=revision)
        if isinstance(kept, str):
            return Path(kept).parent, revision
    with _in_one_line(name, revision, missing):
        found = client.HfApi().model_info(name, revision=revision or None, files_metadata=True)
        _check_files(f"{name} on the hub", found)
        there = {file.rfilename for file in found.siblings}
        for file in (*FILES, ACCOUNT):
            if file in there:
                path = client.hf_hub_download(name, file, revision=found.sha)
    return Path(path).parent, found.sha


def _check_files(where: str, found: Any) -> None:
    """Refuse a repository without a saved network, or with a file that is larger than any."""
    sizes = {file.rfilename: file.size or 0 for file in found.siblings or ()}
    if not sizes.keys() >= {ACCOUNT, WEIGHTS}:
        raise CheckpointError(
            f"{where}: {ACCOUNT} and {WEIGHTS} are required, it has "
            f"{listed(sorted(sizes), longest=60) or 'no files'}; `cvfp-opt train --save DIR` and "
            "`cvfp-opt best --save DIR` write a folder to upload"
        )
    for file, limit in {**dict.fromkeys(FILES, MAX_FILE), ACCOUNT: MAX_ACCOUNT}.items():
        if sizes.get(file, 0) > limit:
            raise CheckpointError(
                f"{where}, {file}: at most {limit} bytes are required, it has {sizes[file]}; "
                "nothing was downloaded"
            )


@contextmanager
def _in_one_line(name: str, revision: str, missing: str) -> Iterator[None]:
    """Turn what the hub refuses, or that it is out of reach, into a CheckpointError of one line.

    Args:
        name, revision: see ``fetch``.
        missing: words for the folder of that name, which is not there.
    """
    from huggingface_hub import errors

    login = "type `hf auth login`"
    try:
        yield
    except CvfpOptError:
        raise
    except errors.RevisionNotFoundError:
        raise CheckpointError(
            f"{name} has no revision {revision!r} on the hub; mend it, or leave it out for the "
            "newest"
        ) from None
    except errors.GatedRepoError:
        raise CheckpointError(
            f"{name}: who reads it has to be admitted: ask for it on its page of the hub, then "
            f"{login}"
        ) from None
    except errors.RepositoryNotFoundError:
        raise CheckpointError(
            f"{missing}, and no {name!r} on the hub, or it is private; mend the name, or {login}"
        ) from None
    except Exception as error:
        raise CheckpointError(_otherwise(error, name, missing, login)) from None


def _otherwise(error: Exception, name: str, missing: str, login: str) -> str:
    """Say what a refusal, the disk or a missing network did."""
    from huggingface_hub.errors import HfHubHTTPError

    refusal = error.__cause__ if isinstance(error.__cause__, HfHubHTTPError) else error
    if isinstance(refusal, HfHubHTTPError) and refusal.response.status_code in (401, 403):
        return f"{name}: the hub refuses to give it to you ({first_line(refusal)}); {login}"
    if isinstance(error, OSError) and error.errno and not isinstance(error, ConnectionError):
        return f"{name}: cannot be kept in the cache of the hub, see HF_HOME: {error.strerror}"
    return (
        f"{missing}, and the hub cannot be reached ({first_line(error)}); without a network bring "
        "the folder, or name the full hash of a commit that was loaded before: revision=HASH"
    )
