"""The wheel is whole: it runs from another folder, without the source tree."""

import configparser
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support import REPOSITORY, TINY_ARGUMENTS


@pytest.mark.processes
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
    code = (
        "import cvfp_opt, sys; from cvfp_opt.cli import main; "
        "print(cvfp_opt.__file__, flush=True); main()"
    )
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


# The first releases without a hole that is known and concerns what is done with them here.
SOUND = {
    "waitress": "3.0.1",  # CVE-2024-49768, CVE-2024-49769
    "filelock": "3.20.3",  # CVE-2025-68146, CVE-2026-22701
    "jinja2": "3.1.6",  # CVE-2025-27516
    "torch": "2.6",  # CVE-2025-32434
    "bottle": "0.12.20",  # CVE-2022-31799
    "pymysql": "1.1.1",  # CVE-2024-36039
    "distributed": "2026.1",  # CVE-2026-23528
    "tornado": "6.5.7",  # CVE-2025-47287, -67724, -67725, -67726, CVE-2026-31958, -49853 to -49855
}


@pytest.mark.parametrize("package", SOUND)
def test_no_release_with_a_known_hole_is_asked_for(package: str) -> None:
    config = configparser.ConfigParser()
    config.read(REPOSITORY / "setup.cfg")
    lines = [config["options"]["install_requires"], *config["options.extras_require"].values()]
    floors = dict(re.findall(r"^([\w-]+)(?:\[\w+\])?>=([\d.]+)", "\n".join(lines), re.MULTILINE))

    def parts(version: str) -> list[int]:
        return [int(part) for part in version.split(".")]

    assert parts(floors[package]) >= parts(SOUND[package])
