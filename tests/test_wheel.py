"""The wheel is whole: it runs from another folder, without the source tree."""

import os
import subprocess
import sys
from pathlib import Path

from support import REPOSITORY, TINY_ARGUMENTS


def test_the_wheel_runs_elsewhere(tmp_path: Path) -> None:
    source, target, elsewhere = (tmp_path / name for name in ("source", "target", "elsewhere"))
    elsewhere.mkdir()
    subprocess.run(["cp", "-r", "--", str(REPOSITORY), str(source)], check=True)
    pip = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check"]
    build = [*pip, "wheel", "--no-build-isolation", "--no-deps", "--wheel-dir", str(tmp_path)]
    subprocess.run([*build, str(source)], check=True)
    [wheel] = tmp_path.glob("cvfp_opt-*.whl")
    install = [*pip, "install", "--no-deps", "--no-index", "--target", str(target)]
    subprocess.run([*install, str(wheel)], check=True)
    code = "import cvfp_opt, sys; from cvfp_opt.cli import main; print(cvfp_opt.__file__); main()"
    result = subprocess.run(
        [sys.executable, "-c", code, "run", "quick", *TINY_ARGUMENTS, "--n-trials", "1"],
        cwd=elsewhere,
        env=os.environ | {"PYTHONPATH": str(target)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(str(target))
    assert (elsewhere / "storage" / "cvfp.db").is_file()
