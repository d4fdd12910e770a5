"""Kernels are compiled wherever the package is installed, and cached where that is possible."""

import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import numba
import pytest
from support import REPOSITORY

from cvfp_opt.model import kernel as kernels
from cvfp_opt.model.kernel import kernel

pytestmark = pytest.mark.skipif(
    bool(numba.config.DISABLE_JIT), reason="nothing is compiled with NUMBA_DISABLE_JIT"
)

TRY = """
import cvfp_opt.model.compiled as compiled
from cvfp_opt.model.kernel import why_unkept
assert compiled._relu(-1.0) == 0.0 and compiled._relu(2.0) == 2.0
print(compiled.__file__, why_unkept(), sep="\\n")
"""


def test_an_installation_and_a_home_that_cannot_be_written(tmp_path: Path) -> None:
    package = tmp_path / "cvfp_opt"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(REPOSITORY / "cvfp_opt", package, ignore=ignored)
    (package / "model" / "__pycache__").touch()  # no folder: that stops the superuser, too
    nowhere = {"HOME": "/dev/null", "XDG_CACHE_HOME": "/dev/null", "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", TRY],
        env=os.environ | nowhere | {"PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    where, why = done.stdout.splitlines()
    assert where == str(package / "model" / "compiled.py")
    assert "no locator available" in why


@pytest.fixture
def unkept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder for numba's cache, and no memory of what failed before."""
    monkeypatch.setattr(kernels, "_unkept", [])
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    return tmp_path


def test_a_disk_that_is_full_when_a_kernel_was_compiled(unkept: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    @kernel()
    def add_one(value: float) -> float:
        return value + 1.0

    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))  # every write fails
    try:
        assert add_one(1.0) == 2.0
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "File too large" in kernels.why_unkept()
    assert [path for path in unkept.rglob("*") if path.is_file()] == []


def test_a_damaged_cache_is_written_anew(unkept: Path) -> None:
    def make() -> object:
        @kernel()
        def add_two(value: float) -> float:
            return value + 2.0

        return add_two

    assert make()(1.0) == 3.0
    assert kernels.why_unkept() == ""
    [index] = unkept.rglob("*.nbi")
    whole = index.read_bytes()
    index.write_bytes(whole[:20])
    assert make()(1.0) == 3.0
    assert kernels.why_unkept()
    assert index.read_bytes() == whole


def test_a_kernel_is_compiled_anew_when_one_that_it_calls_was_changed(tmp_path: Path) -> None:
    called = tmp_path / "called.py"
    calling = tmp_path / "calling.py"
    source = "from cvfp_opt.model.kernel import kernel\n@kernel()\ndef step(x): return x + {}\n"
    calling.write_text(
        "from called import step\nfrom cvfp_opt.model.kernel import kernel\n"
        "@kernel()\ndef twice(x): return step(step(x))\nprint(twice(1.0))\n"
    )
    found = []
    for size in (1.0, 2.0, 1.0):
        called.write_text(source.format(size))
        done = subprocess.run(
            [sys.executable, str(calling)],
            env=os.environ | {"NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(REPOSITORY)},
            capture_output=True,
            text=True,
            check=True,
        )
        found.append(done.stdout.strip())
    assert found == ["3.0", "5.0", "3.0"]
