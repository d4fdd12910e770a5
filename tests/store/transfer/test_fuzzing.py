"""Files that are almost exports: imported whole or refused, and never anything else."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from archives import export_confirmed, put_together, take_apart
from dumps import JSON
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cvfp_opt.errors import CvfpOptError
from cvfp_opt.store.database.location import resolve_location
from cvfp_opt.store.database.storage import Store, open_for_search
from cvfp_opt.store.transfer.operations import Place, import_study

EXAMPLES = settings(
    deadline=None,
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
ALL = {"s", "s/pareto", "s/confirm"}


class Importer:
    """Imports into one database, and sees to it that it is all or nothing."""

    def __init__(self, folder: Path, store: Store) -> None:
        self.good = export_confirmed(folder / "good.zip")
        self.members = take_apart(self.good)
        self.path = folder / "x.zip"
        self._folder, self._store = folder, store
        self._place = Place(location=store.location, artifacts=str(folder / "artifacts"))

    def __call__(self) -> None:
        """Import ``path``; what is there then is taken away again."""
        before = self._files()
        try:
            import_study(self.path, None, self._place)
        except CvfpOptError:
            assert self._studies() == {}
            assert self._files() == before
        else:
            studies = self._studies()
            assert len(studies) == 3
            for study_id in studies.values():
                self._store.storage.delete_study(study_id)
            new = self._files() - before
            assert {path.parent for path in new} <= {self._folder / "artifacts", self._folder}
            for path in new - {self._folder / "artifacts"}:
                path.unlink()

    def _studies(self) -> dict[str, int]:
        return {s.study_name: s._study_id for s in self._store.storage.get_all_studies()}

    def _files(self) -> set[Path]:
        return {path for path in self._folder.rglob("*") if not path.name.startswith("x.db")}


@pytest.fixture
def importer(isolated_folder: Path) -> Iterator[Importer]:
    """See ``Importer``."""
    with open_for_search(resolve_location("x.db")) as store:
        yield Importer(isolated_folder, store)


@EXAMPLES
@given(data=st.data())
def test_flipped_bits(importer: Importer, data: st.DataObject) -> None:
    content = bytearray(importer.good.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    importer.path.write_bytes(content)
    importer()


@EXAMPLES
@given(data=st.data())
def test_truncated_and_spliced(importer: Importer, data: st.DataObject) -> None:
    content = importer.good.read_bytes()
    places = st.integers(0, len(content))
    a, b, c, d = (data.draw(places) for _ in range(4))
    importer.path.write_bytes(content[:a] + content[b:c] + content[d:])
    importer()


@EXAMPLES
@given(data=st.data())
def test_any_value_in_the_place_of_any_other(importer: Importer, data: st.DataObject) -> None:
    """With digests that agree, so that what is checked is the content."""
    members = dict(importer.members)
    name = data.draw(st.sampled_from([n for n in members if n.endswith(("json", "jsonl"))]))
    lines = [json.loads(line) for line in _documents(name, members[name])]
    _replace(data, lines)
    members[name] = "".join(json.dumps(line) + "\n" for line in lines).encode()
    try:
        put_together(importer.path, members)
    except (TypeError, ValueError, KeyError):  # what is no manifest has no digests to put in
        return
    importer()


def _documents(name: str, content: bytes) -> list[bytes]:
    return content.splitlines() if name.endswith("jsonl") else [content]


def _replace(data: st.DataObject, value: Any) -> None:
    """Go down into ``value`` at random, and put something else there, or take it away."""
    while True:
        keys = sorted(value) if isinstance(value, dict) else list(range(len(value)))
        if not keys:
            return
        key = data.draw(st.sampled_from(keys))
        inner = value[key]
        if isinstance(inner, dict | list) and inner and data.draw(st.integers(0, 3)):
            value = inner
            continue
        if data.draw(st.booleans()):
            value[key] = data.draw(JSON)
        else:
            del value[key]
        return
