"""The lines that are printed after an export, import, copy or merge."""

from dataclasses import replace

from archives import Artifacts
from dumps import confirmed, own_study, own_trial

from cvfp_opt.report.transfer import exported_lines, loaded_json, loaded_lines, merged_lines
from cvfp_opt.store.database.location import resolve_location
from cvfp_opt.store.transfer.manifest import Manifest
from cvfp_opt.store.transfer.merge import Joined, Merged
from cvfp_opt.store.transfer.operations import Exported, Loaded

DUMP = own_study(own_trial(0), own_trial(1))


def test_numbers_are_told_in_runs_without_gaps() -> None:
    added = {2: 10, 3: 11, 5: 12, 6: 14}
    first = Joined(label="a", added={0: 0}, known={})
    merged = Merged(
        dump=DUMP,
        artifacts=Artifacts(),
        joined=[first, Joined(label="b.zip", added=added, known={0: 4, 1: 3, 4: 0})],
        conflicts=["trial 0 ..."],
        unconfirmed=["b.zip"],
    )
    assert merged_lines(merged) == [
        "trials 2-3 of b.zip are trials 10-11 now",
        "trial 5 of b.zip is trial 12 now",
        "trial 6 of b.zip is trial 14 now",
        "trials 0-1, 4 of b.zip: there already, as trials 0, 3-4",
        "the confirmation of b.zip is left out: its seeds are not those of the result; type "
        "`cvfp-opt confirm --study-name s`",
        "conflict: trial 0 ...",
    ]


def test_what_is_left_out_or_waits_is_told() -> None:
    manifest = replace(Manifest.of(DUMP, "sqlite:///x.db", {}), missing=["a", "b", "c", "d"])
    exported = Exported(
        manifest=manifest, given_back=(1,), left_out=("trial 0: a\x1bb",), size=1234
    )
    lines = exported_lines(exported, "my study.zip")
    assert lines == [
        "trial 1 is running: it waits in the copy",
        "4 artifacts not to be had, left out: a, b, c, ...",
        "1 attribute left out, as this program does not write them and would not read them: "
        r"trial 0: a\x1bb",
        "study 's' is in my study.zip: 2 trials, 0 artifacts, 1,234 bytes",
        "to use it elsewhere:  cvfp-opt study import 'my study.zip'",
    ]


def test_runs_of_the_confirmation_are_counted() -> None:
    loaded = Loaded(dump=confirmed(DUMP), missing=[])
    location = resolve_location("x.db")
    words = "2 trials and 2 runs of its confirmation"
    assert loaded_lines(loaded, location)[0] == f"study 's' is in sqlite:///x.db: {words}"
    assert loaded_json(loaded, location)["confirmation"] == 2
    manifest = Manifest.of(confirmed(DUMP), "sqlite:///x.db", {})
    exported = Exported(manifest=manifest, given_back=(), left_out=(), size=1234)
    lines = exported_lines(exported, "s.zip")
    assert lines[0] == f"study 's' is in s.zip: {words}, 0 artifacts, 1,234 bytes"


def test_a_name_from_elsewhere_does_no_harm_on_a_terminal() -> None:
    location = resolve_location("x.db")
    quoted = loaded_lines(Loaded(dump=DUMP.renamed("$(rm x)"), missing=[]), location)
    assert quoted[-1].endswith("run --study-name '$(rm x)' --storage x.db")
    hidden = loaded_lines(Loaded(dump=DUMP.renamed("\x1b[2J"), missing=[]), location)
    assert hidden[0] == r"study '\x1b[2J' is in sqlite:///x.db: 2 trials"
    assert hidden[1].endswith(r"run --study-name $'\x1b[2J' --storage x.db")
