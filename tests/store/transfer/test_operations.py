"""Transfer: consistent while others write, all or nothing, whatever is killed."""

import json
import subprocess
import sys
from pathlib import Path
from typing import BinaryIO

import pytest
from archives import Artifacts, account, export, with_artifacts
from dumps import confirmed, own_study, own_trial, record
from optuna.study import StudyDirection
from optuna.trial import TrialState

from cvfp_opt.errors import ArchiveError, CvfpOptError, StorageError, StudyError
from cvfp_opt.store.database.location import Location, resolve_location
from cvfp_opt.store.database.storage import Store, open_for_editing, open_for_search
from cvfp_opt.store.files.artifact_stores import open_artifacts
from cvfp_opt.store.files.folder import FolderStore
from cvfp_opt.store.transfer import operations as moves
from cvfp_opt.store.transfer.archive_reading import Archive
from cvfp_opt.store.transfer.dump import Dump
from cvfp_opt.store.transfer.editing import delete_study
from cvfp_opt.store.transfer.operations import (
    Place,
    copy_study,
    export_study,
    import_study,
    merge_studies,
    open_source,
)

WAITING = TrialState.WAITING


@pytest.fixture
def here(isolated_folder: Path) -> Place:
    """A database with a study, and its artifacts."""
    place = Place(location=resolve_location("here.db"), artifacts="here")
    place.load(*with_artifacts())
    return place


def files(folder: str) -> dict[str, bytes]:
    """Artifacts in a folder."""
    return {path.name: path.read_bytes() for path in Path(folder).glob("*")}


def test_a_study_goes_to_any_database_and_back(here: Place, location: Location) -> None:
    dump, artifacts = with_artifacts()
    there, back = (
        Place(location=location, artifacts="there"),
        Place(location=resolve_location("back.db"), artifacts="back"),
    )
    assert copy_study(here, "s", there, "t").dump == dump.renamed("t")
    assert copy_study(there, "t", back, "s").dump == dump
    assert back.read("s") == dump
    assert files("there") == files("back") == artifacts
    export_study(there, "t", Path("t.zip"))
    with pytest.raises(StudyError, match="has this study already, as 's'"):
        import_study(Path("t.zip"), None, back)


def test_the_confirmation_goes_along_all_or_nothing(
    location: Location, monkeypatch: pytest.MonkeyPatch
) -> None:
    dump, artifacts = with_artifacts()
    runs = (
        own_trial(0, identity=("e", 0, 2**31), system_attrs=account("2f-run")),
        own_trial(1, identity=("f", 0, 2**31), state=WAITING, system_attrs=account("3f-1")),
    )
    whole = confirmed(dump, *runs)
    artifacts |= {"2f-run": b"run", "3f-1": b"checkpoint"}
    here = Place(location=resolve_location("here.db"), artifacts="here")
    here.load(whole, artifacts)
    there = Place(location=location, artifacts="there")
    assert copy_study(here, "s", there, "t").dump == whole.renamed("t") == there.read("t")
    assert files("there") == artifacts
    with pytest.raises(StudyError, match="is the confirmation of 't' and goes where"):
        there.read("t/confirm")
    export_study(there, "t", Path("t.zip"))
    back = Place(location=resolve_location("back.db"), artifacts="back")
    back.load(own_study(own_trial(0), name="s/confirm", of=record(uuid="b" * 32)), Artifacts())
    with pytest.raises(StudyError, match="there is another study named 's/confirm'"):
        import_study(Path("t.zip"), "s", back)
    assert files("back") == {}
    assert import_study(Path("t.zip"), "u", back).dump == whole.renamed("u") == back.read("u")
    assert files("back") == artifacts


def test_a_confirmation_of_another_study_stays_where_it_is(here: Place) -> None:
    """Of one that was deleted by another program, and whose name was used again."""
    other = confirmed(own_study(own_trial(0), of=record(uuid="b" * 32))).confirmation
    assert other is not None
    here.load(Dump(study=other), Artifacts())
    assert here.read("s").confirmation is None


def test_notes_on_trials_stay_where_their_ids_mean_something(here: Place) -> None:
    kept, left = "dashboard:note_str:0", "dashboard:1:note_str:0"
    with open_for_search(here.location) as store:
        study_id = store.storage.get_study_id_from_name("s")
        for key in (kept, left, "dashboard:1:note_ver"):
            store.storage.set_study_system_attr(study_id, key, "x")
    found = here.read("s").study.system_attrs
    assert [key for key in found if "note" in key] == [kept]


def test_a_study_that_is_not_written_leaves_no_artifacts(here: Place) -> None:
    export_study(here, "s", Path("s.zip"))
    there = Place(location=resolve_location("there.db"), artifacts="there")
    FolderStore(Path("there").absolute()).write("0f-curves", Artifacts(a=b"mine").open_reader("a"))
    with pytest.raises(StorageError, match="artifact 0f-curves: another file of that id"):
        import_study(Path("s.zip"), None, there)
    assert files("there") == {"0f-curves": b"mine"}
    with pytest.raises(StudyError, match="there is no study 's'"):
        there.read("s")


def test_a_failure_after_the_artifacts_takes_them_away_again(
    here: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(store: Store, dump: Dump) -> None:
        assert set(files("there")) == {"0f-curves", "1f-1", "mine"}
        raise StorageError("the disk is full")

    store = FolderStore(Path("there").absolute())
    store.write("mine", Artifacts(a=b"mine").open_reader("a"))
    monkeypatch.setattr(moves, "write_dump", failing)
    with pytest.raises(StorageError, match="the disk is full"):
        copy_study(here, "s", Place(location=resolve_location("x.db"), artifacts="there"), None)
    assert files("there") == {"mine": b"mine"}


class Unread:
    """Artifacts that nobody should ask for."""

    def open_reader(self, artifact_id: str) -> BinaryIO:
        raise AssertionError(artifact_id)


def test_a_study_that_is_there_already_is_refused_before_artifacts_are_read(here: Place) -> None:
    dump, _ = with_artifacts()
    for path in Path("here").iterdir():
        path.unlink()
    with pytest.raises(StudyError, match="has this study already"):
        here.load(dump, Unread())


def test_artifacts_that_are_there_already_are_used_and_a_checkpoint_is_left_alone(
    here: Place,
) -> None:
    _, artifacts = with_artifacts()
    there = Place(location=resolve_location("there.db"), artifacts="there")
    store = FolderStore(Path("there").absolute())
    store.write("0f-curves", artifacts.open_reader("0f-curves"))
    store.write("1f-1", Artifacts(a=b"a later one").open_reader("a"))
    assert copy_study(here, "s", there, None).missing == []
    assert files("there") == artifacts | {"1f-1": b"a later one"}


def test_artifacts_that_are_gone_are_told_and_checkpoints_forgotten(here: Place) -> None:
    for path in Path("here").iterdir():
        path.unlink()
    there = Place(location=resolve_location("there.db"), artifacts="there")
    loaded = copy_study(here, "s", there, None)
    assert loaded.missing == ["0f-curves"]
    assert there.read("s").artifacts() == {"0f-curves": True}


@pytest.mark.parametrize("name", ["s.cvfp", "there.zip", "missing/s.zip"])
def test_an_export_is_refused_before_anything_is_read(name: str, here: Place) -> None:
    Path("there.zip").touch()
    with pytest.raises(ArchiveError, match=r"ends in \.zip|exists already|mkdir -p"):
        export_study(here, "no such study", Path(name))


def test_a_file_is_checked_before_a_database_is_made() -> None:
    Path("x.zip").write_bytes(export().read_bytes()[:-1])
    place = Place(location=resolve_location("new.db"))
    with pytest.raises(ArchiveError):
        import_study(Path("x.zip"), None, place)
    assert not Path("new.db").exists()


def test_sources_of_a_merge_are_names_files_and_places(here: Place) -> None:
    far = Place(location=resolve_location("far.db"))
    far.load(
        own_study(
            own_trial(0, identity=("b", 1, 0)), name="far", of=record(uuid="b" * 32, seed=1)
        ),
        Artifacts(),
    )
    export_study(far, "far", Path("far.zip"))
    merged, loaded = merge_studies(
        ["s", "far.zip", "far.db#far"], "joined", here, lambda one, other: []
    )
    assert [joined.label for joined in merged.joined] == ["s", "far.zip", "sqlite:///far.db#far"]
    assert merged.joined[1].added == {0: 3}
    assert merged.joined[2].known == {0: 3}
    assert loaded.dump == here.read("joined")
    assert loaded.missing == []


@pytest.mark.parametrize("text", ["missing", "missing.zip", "missing.db#s", "here.db#missing"])
def test_a_source_that_is_not_there_is_refused(text: str, here: Place) -> None:
    with pytest.raises(CvfpOptError, match="missing"), open_source(text, here):
        pass


WRITER = """
import sys, threading, optuna
from optuna.trial import create_trial
from optuna.distributions import FloatDistribution
from cvfp_opt.store.database.location import resolve_location
from cvfp_opt.store.database.storage import open_for_search
with open_for_search(resolve_location(sys.argv[1])) as store:
    study = optuna.load_study(study_name="s", storage=store.storage)
    stop = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), stop.set())).start()
    x = 0
    while not stop.is_set():
        x = (x + 1) % 1000
        study.add_trial(create_trial(
            value=x, params={"x": x}, distributions={"x": FloatDistribution(0, 1000)},
            user_attrs={"x": x}, system_attrs={"x": x}, intermediate_values={0: x}))
        if x == 1:
            print("writing", flush=True)
"""


def test_an_export_shows_one_moment_while_another_process_writes(location: Location) -> None:
    with open_for_search(location) as store:
        store.storage.create_new_study([StudyDirection.MAXIMIZE], "s")
    writer = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", WRITER, location.url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "writing\n"
        counts = [_export_whole(Place(location=location)) for _ in range(3)]
    finally:
        writer.communicate("", timeout=60)
    assert writer.returncode == 0
    assert counts == sorted(counts)
    assert counts[0] < counts[-1]


def _export_whole(place: Place) -> int:
    """Number of trials of an export, each of which is whole."""
    path = Path("s.zip")
    export_study(place, "s", path)
    with Archive.open(path) as archive:
        trials = archive.dump.study.trials
    path.unlink()
    for trial in trials:
        x = trial.user_attr("x")
        parts = trial.system_attr("x"), *trial.values, *(p.value for p in trial.params)
        assert [*parts, *trial.intermediate.values()] == [x] * 4, trial
    return len(trials)


# Imports in a child that is killed at point after point, until it comes through.
KILLED = """
import json, os, signal, sqlite3, sys
from pathlib import Path
import sqlalchemy
from cvfp_opt.store.files.folder import FolderStore
from cvfp_opt.store.database.location import resolve_location
from cvfp_opt.store.database.storage import open_for_search
from cvfp_opt.store.database import study_rows
from cvfp_opt.store.transfer import operations as moves
from cvfp_opt.store.transfer import to_database as writing
left = float("inf")
def point():
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
def around(owner, name):
    inner = getattr(owner, name)
    def run(*arguments):
        point()
        return inner(*arguments)
    setattr(owner, name, run)
place = moves.Place(location=resolve_location("x.db"), artifacts="artifacts")
with open_for_search(place.location):
    pass  # creates the tables
around(study_rows, "insert_rows")
writing.insert_rows = study_rows.insert_rows
around(FolderStore, "write")
around(sqlalchemy.engine.Transaction, "commit")
for point_number in range(1000):
    child = os.fork()
    if child == 0:
        left = point_number
        moves.import_study(Path("s.cvfp.zip"), None, place)
        point()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    with sqlite3.connect("x.db") as connection:
        names = [name for name, in connection.execute("SELECT study_name FROM studies")]
    print(json.dumps([status, names]), flush=True)
    if names:
        break
"""


def test_an_import_that_is_killed_anywhere_leaves_nothing_or_everything() -> None:
    export()
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", KILLED], capture_output=True, text=True, check=True
    )
    *before, last = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(before) > 2 * 9 + 2  # inserts into tables, and artifacts
    assert {(status, *names) for status, names in before} == {(9,)}
    assert last == [9, ["s", "s/pareto"]]  # killed after the commit
    dump, artifacts = with_artifacts()
    place = Place(location=resolve_location("x.db"))
    assert place.read("s") == dump
    assert files("artifacts") == artifacts


def test_files_stay_as_long_as_a_database_of_the_folder_names_them(isolated_folder: Path) -> None:
    dump, artifacts = with_artifacts()
    one = Place(location=resolve_location("one.db"))
    two = Place(location=resolve_location("two.db"))
    one.load(dump, artifacts)
    lasting = {name for name in artifacts if name in files("artifacts")}
    copy_study(one, "s", two, None)
    Path("notes.txt").write_text("no database")
    Path("other.db").write_bytes(b"SQLite format 3\0 and no more")
    before = files("artifacts")
    assert lasting <= before.keys()
    for place, left in ((one, before), (two, {})):
        with open_for_editing(place.location) as store:
            delete_study(store, "s", open_artifacts(place.location, None))
        assert files("artifacts") == left
