"""Files for containers: valid by schema, and what they start is understood."""

import re
import sys
from pathlib import Path
from typing import Any

import pages
import pytest
import yaml
from deploy.programs import FILES, call
from support import REPOSITORY

COMPOSE = yaml.safe_load((FILES / "compose.yaml").read_text())
KUBERNETES = list(yaml.safe_load_all((FILES / "kubernetes.yaml").read_text()))
_IMAGE = "cvfp-opt"


def of_kind(kind: str) -> list[dict[str, Any]]:
    return [one for one in KUBERNETES if one["kind"] == kind]


def our_containers() -> dict[str, dict[str, Any]]:
    """Containers of our image in Kubernetes, by their names."""
    pods = [one["spec"]["template"]["spec"] for one in of_kind("Deployment")]
    return {one["name"]: one for pod in pods for one in pod["containers"]}


def our_services() -> dict[str, dict[str, Any]]:
    """Services of our image in the compose file."""
    return {name: one for name, one in COMPOSE["services"].items() if one["image"] == _IMAGE}


def test_the_compose_file_is_one() -> None:
    pytest.importorskip("check_jsonschema")
    check = (sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec")
    outcome = call(*check, FILES / "compose.yaml")
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr


def test_kubernetes_takes_each_object() -> None:
    validate = pytest.importorskip("kubernetes_validate")
    for one in KUBERNETES:
        validate.validate(one, "1.32", strict=True)
    wrong = {**KUBERNETES[0], "stringdata": {}}
    with pytest.raises(validate.ValidationError):
        validate.validate(wrong, "1.32", strict=True)


def test_the_words_that_containers_are_started_with_are_understood() -> None:
    started = {name: one["args"] for name, one in our_containers().items()}
    started |= {name: one["command"] for name, one in our_services().items()}
    assert set(started) == {"worker", "serve", "worker-1", "worker-2"}
    refused = {name: pages.refused(["cvfp-opt", *words]) for name, words in started.items()}
    assert refused == dict.fromkeys(started, "")


def test_every_container_is_asked_at_the_port_where_it_answers() -> None:
    for one in our_containers().values():
        words, [port] = one["args"], one["ports"]
        option = "--port" if "serve" in words else "--health"
        assert words[words.index(option) + 1] == str(port["containerPort"])
        for kind in ("livenessProbe", "readinessProbe", "startupProbe"):
            if kind in one:
                assert one[kind]["httpGet"]["port"] == port["name"]
    [service] = [one for one in of_kind("Service") if one["metadata"]["name"] == "cvfp-opt"]
    assert service["spec"]["ports"][0]["targetPort"] == "http"


def test_nobody_is_the_superuser_or_writes_where_nothing_is_to_be_written() -> None:
    for one in our_containers().values():
        assert one["securityContext"]["readOnlyRootFilesystem"]
        assert {"/tmp", "/home/search/storage"} == {at["mountPath"] for at in one["volumeMounts"]}
    for one in our_services().values():
        assert one["read_only"]
        assert one["tmpfs"] == ["/tmp"]
    user = re.findall(r"^USER (\d+)$", (FILES / "Containerfile").read_text(), flags=re.MULTILINE)
    pods = [one["spec"]["template"]["spec"] for one in of_kind("Deployment")]
    assert {str(pod["securityContext"]["runAsUser"]) for pod in pods} == set(user)


def test_files_that_compose_mounts_are_there() -> None:
    mounted = [
        source
        for one in COMPOSE["services"].values()
        for source, *_ in (text.split(":") for text in one.get("volumes", ()))
        if source.startswith("./")
    ]
    made_by_hand = {"./prometheus-token"}
    assert [one for one in mounted if not (FILES / one).exists()] == list(made_by_hand)


def test_the_image_is_given_all_that_the_package_needs() -> None:
    """What is copied into it makes the same package as the whole repository."""
    copied = re.findall(r"^COPY (?!--)(.*)$", (FILES / "Containerfile").read_text(), re.MULTILINE)
    sources = {word for line in copied for word in line.split()[:-1]}
    assert all((REPOSITORY / one).exists() for one in sources)
    ignored = call("git", "check-ignore", *sources, cwd=REPOSITORY).stdout.split()
    assert ignored == []
    assert {"setup.cfg", "pyproject.toml", "README.md", "cvfp_opt", "studies"} <= sources
    assert Path("constraints.txt").name in sources
