"""The image is built, run by podman, and stopped; its systemd runs our units.

Nothing is pulled: the base is Debian, made by mmdebstrap. It takes some minutes and four
gigabytes, and needs the superuser.
"""

import json
import os
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from databases import fresh_database
from deploy.programs import FILES, call, program, wait_for
from support import REPOSITORY, TINY_ARGUMENTS

from cvfp_opt.store.database.location import Location

pytestmark = [pytest.mark.processes, pytest.mark.slow]

_TAG = "localhost/cvfp-opt-tests"
# As much as a sandbox may give away; crun, the usual runtime, needs more.
_LIMITS = ("--ulimit", "nofile=1024:20000", "--ulimit", "nproc=4096:4096")
_PACKAGES = "python3,python3-venv,ca-certificates,libgomp1"


def done(*words: str | Path, seconds: float = 900, text: str | None = None) -> str:
    """Run a program that has to succeed; what it prints."""
    outcome = subprocess.run(
        [str(word) for word in words],
        capture_output=True,
        text=True,
        timeout=seconds,
        input=text,
    )
    assert outcome.returncode == 0, f"{words}\n{outcome.stdout}\n{outcome.stderr}"
    return outcome.stdout


def buildah(*words: str | Path, **more: Any) -> str:
    return done(program("buildah"), *words, **more)


def podman(*words: str | Path, **more: Any) -> str:
    return done(program("podman"), "--runtime", program("runc"), *words, **more)


def _base(folder: Path) -> None:
    """An image of Debian with Python."""
    archive = folder / "base.tar"
    done(
        program("mmdebstrap"),
        *("--variant=minbase", f"--include={_PACKAGES}", "bookworm"),
        archive,
    )
    container = buildah("from", "scratch").strip()
    buildah("add", "--quiet", container, archive, "/")
    buildah("config", "--env", f"PATH={os.defpath}:/usr/sbin:/sbin", container)
    buildah("commit", "--quiet", container, f"{_TAG}-base")
    buildah("rm", container)
    archive.unlink()


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Our image, of the Containerfile as it is."""
    if os.geteuid() != 0:
        pytest.skip("mmdebstrap and buildah want the superuser here")
    for name in ("mmdebstrap", "buildah", "podman", "runc"):
        program(name)
    _base(tmp_path_factory.mktemp("base"))
    wheels = os.environ.get("PIP_FIND_LINKS", "")
    near = [f"--volume={wheels}:{wheels}:ro"] if Path(wheels).is_dir() else []
    options = f"--find-links {shlex.quote(wheels)}" if near else ""
    certificates = "/etc/ssl/certs"
    buildah(
        *("bud", "--isolation=chroot", "--layers=false", f"--build-arg=BASE={_TAG}-base"),
        *([f"--build-arg=PIP_OPTIONS={options}"] if near else []),
        *near,
        f"--volume={certificates}:{certificates}:ro",
        *("--file", FILES / "Containerfile", "--tag", _TAG),
        REPOSITORY,
    )
    yield _TAG
    buildah("rmi", "--force", _TAG, f"{_TAG}-base")


@pytest.fixture(scope="module")
def with_systemd(image: str) -> Iterator[str]:
    """The image with systemd in it."""
    container = buildah("from", image).strip()
    install = "apt-get update -qq && apt-get install -qq --no-install-recommends systemd dbus"
    buildah("run", "--isolation=chroot", "--user=0", container, "--", "sh", "-c", install)
    buildah("config", "--entrypoint", '["/lib/systemd/systemd"]', "--user=0", container)
    buildah("commit", "--quiet", container, f"{_TAG}-systemd")
    buildah("rm", container)
    yield f"{_TAG}-systemd"
    buildah("rmi", "--force", f"{_TAG}-systemd")


@pytest.fixture
def location() -> Iterator[Location]:
    with fresh_database("postgresql") as found:
        yield found


# As compose.yaml and kubernetes.yaml have it.
CLOSED = ("--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", "--env=NUMBA_CACHE_DIR=/tmp/numba")


def test_the_image_works_for_a_queue_with_nothing_but_its_folder(
    image: str, location: Location
) -> None:
    storage = f"--env=CVFP_OPT_STORAGE={location.url}"
    run = ("run", "--rm", "--network=host", *_LIMITS, *CLOSED, storage)
    assert podman("run", "--rm", *_LIMITS, image, "--version").startswith("cvfp-opt, version")
    podman(*run, image, "submit", "quick", *TINY_ARGUMENTS, "--n-trials", "200")
    name = podman(*run, "--detach", image, "worker", "--n-jobs", "1", "--threads", "1").strip()

    def counts() -> dict[str, int]:
        status: dict[str, Any] = json.loads(podman(*run, image, "status", "quick", "--json"))
        found: dict[str, int] = status["counts"]
        return found

    wait_for(lambda: counts()["complete"] >= 2, "two trials", 180)
    podman("stop", "--time", "60", name)
    assert counts()["running"] == 0


_IN_SYSTEMD = """\
set -e
state() { systemctl show --property=ActiveState,Result,NRestarts $1 | sort | xargs; }
pid() { systemctl show --property=MainPID --value cvfp-opt-worker@1; }
mkdir -p /etc/cvfp-opt /run/systemd/system/cvfp-opt-worker@.service.d
echo CVFP_OPT_STORAGE=sqlite:////var/lib/cvfp-opt/studies.db > /etc/cvfp-opt/settings
printf '[Service]\\nWatchdogSec=20\\nRestartSec=1\\n' > \\
    /run/systemd/system/cvfp-opt-worker@.service.d/soon.conf
useradd --system --home-dir /var/lib/cvfp-opt cvfp-opt
systemctl daemon-reload
systemctl start cvfp-opt-serve
state cvfp-opt-serve
systemctl show --property=StatusText --value cvfp-opt-serve
python3 -c 'import http.client as h; c = h.HTTPConnection("127.0.0.1", 8080)
c.request("GET", "/livez"); print("answers", c.getresponse().status < 500)'
systemctl start cvfp-opt-worker@1
state cvfp-opt-worker@1
grep -E '^(NoNewPrivs|Seccomp|CapBnd):' /proc/$(pid)/status | sort | xargs
kill -STOP $(pid)
until [ "$(systemctl show --property=NRestarts --value cvfp-opt-worker@1)" = 1 ]; do sleep 1; done
until systemctl is-active --quiet cvfp-opt-worker@1; do sleep 1; done
state cvfp-opt-worker@1
systemctl stop cvfp-opt-worker@1 cvfp-opt-serve
state cvfp-opt-worker@1
state cvfp-opt-serve
"""


def test_our_units_run_under_systemd(with_systemd: str) -> None:
    """Ready, restarted by the watchdog, stopped in peace; as closed as they ask to be."""
    units = [
        f"--volume={path}:/etc/systemd/system/{path.name}:ro"
        for path in (FILES / "systemd").iterdir()
    ]
    name = podman(
        *("run", "--rm", "--detach", "--systemd=always", "--network=none", *_LIMITS),
        *("--cap-add=SYS_ADMIN", "--security-opt=seccomp=unconfined", *units, with_systemd),
    ).strip()
    try:
        up = lambda: call(program("podman"), "exec", name, "systemctl", "is-system-running")  # noqa: E731
        wait_for(lambda: up().stdout.strip() in ("running", "degraded"), "systemd is up")
        said = podman("exec", "--interactive", name, "bash", text=_IN_SYSTEMD, seconds=240)
    finally:
        call(program("podman"), "rm", "--force", "--time", "2", name)
    assert said.splitlines() == [
        "ActiveState=active NRestarts=0 Result=success",
        "serves /var/lib/cvfp-opt/studies.db",
        "answers True",
        "ActiveState=active NRestarts=0 Result=success",
        "CapBnd: 0000000000000000 NoNewPrivs: 1 Seccomp: 2",
        "ActiveState=active NRestarts=1 Result=success",
        "ActiveState=inactive NRestarts=0 Result=success",
        "ActiveState=inactive NRestarts=0 Result=success",
    ]
