"""Studies that are deleted and renamed in the dashboard."""

import io
from typing import Any

import optuna
import pytest
from claiming import Workers, take
from serving import NAME, Serve, Site

from cvfp_opt.store.database.storage import Store, open_for_search
from cvfp_opt.store.files.artifact_names import name_artifacts
from cvfp_opt.store.files.trial_files import SVG, File, write_curves
from cvfp_opt.store.record.records import CONFIRMS, MIRROR_OF
from cvfp_opt.store.record.studies import summarize
from cvfp_opt.store.transfer.editing import delete_study


def names(site: Site) -> set[str]:
    return {study.study_name for study in site.store.storage.get_all_studies()}


def linked(site: Site) -> set[str]:
    """The names of the study and of all that is linked to it; it has a confirmation, too."""
    confirmation = optuna.create_study(
        study_name=f"{NAME}/confirm", storage=site.store.storage, direction="maximize"
    )
    confirmation.set_user_attr(CONFIRMS, NAME)
    return {NAME, f"{NAME}/pareto", f"{NAME}/pareto-audited", f"{NAME}/confirm"}


def keep_a_file(site: Site) -> None:
    uuid = "ab" * 16
    named = write_curves(site.artifacts, uuid, [File(name="a.svg", mimetype=SVG, text="<svg/>")])
    with site.store.engine.begin() as connection:
        name_artifacts(connection, site.study.trials[0]._trial_id, named)


@pytest.mark.parametrize("removing", [True, False])
def test_a_study_is_deleted_with_what_belongs_to_it(
    serve: Serve, site: Site, removing: bool
) -> None:
    keep_a_file(site)
    site.artifacts.write("beef", io.BytesIO(b"uploaded to the study's own page"))
    site.store.storage.set_study_system_attr(site.study._study_id, "artifacts:beef", "{}")
    site.artifacts.write("dead-beef", io.BytesIO(b"another database's"))
    belonging = linked(site)
    assert names(site) == belonging
    client = serve()
    client.ask("/api/studies/1")
    value = {"remove_associated_artifacts": removing}
    assert client.change("/api/studies/1", "DELETE", value).status == 204
    assert names(site) == set()
    assert summarize(site.store) == []
    assert len(list(site.artifacts.folder.iterdir())) == (1 if removing else 3)
    # the next one, which SQLite gives the same number, is not taken for it
    with open_for_search(site.location) as other:
        optuna.create_study(study_name="next", storage=other.storage)
    assert client.ask("/api/studies/1").json["trials"] == []
    assert client.change("/api/studies/99", "DELETE", {}).status == 404


def test_a_study_that_only_has_a_mirrors_name_is_left_alone(serve: Serve, site: Site) -> None:
    front, audited = (
        optuna.load_study(study_name=f"{NAME}/{suffix}", storage=site.store.storage)
        for suffix in ("pareto", "pareto-audited")
    )
    optuna.delete_study(study_name=front.study_name, storage=site.store.storage)
    optuna.create_study(study_name=front.study_name, storage=site.store.storage)
    audited.add_trial(optuna.trial.create_trial(values=[1.0, 2.0]))  # no copy: somebody's own
    client = serve()
    assert client.change("/api/studies/1", "DELETE", {}).status == 204
    assert names(site) == {front.study_name, audited.study_name}
    assert MIRROR_OF not in audited.user_attrs
    assert len(audited.trials) > 1


def test_another_study_that_has_the_number_now_is_not_deleted(
    serve: Serve, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def delete_and_wait(store: Store, name: str, *others: Any) -> None:
        delete_study(store, name, *others)
        with open_for_search(site.location) as other:
            next_ = optuna.create_study(study_name="next", storage=other.storage)
            assert next_._study_id == 1

    monkeypatch.setattr("cvfp_opt.report.dashboard.study_routes.delete_study", delete_and_wait)
    client = serve()
    client.ask("/api/studies/1")
    assert client.change("/api/studies/1", "DELETE", {}).status == 204
    assert names(site) == {"next"}
    assert client.ask("/api/studies/1").json["trials"] == []


def test_a_study_that_is_searched_or_a_mirror_is_refused(serve: Serve, site: Site) -> None:
    client = serve()
    before = names(site)
    answer = client.change("/api/studies/2", "DELETE", {})
    assert answer.status == 409
    assert "is a mirror, which comes and goes with its study" in answer.json["reason"]
    take(Workers(site.store, site.study).add())
    answer = client.change("/api/studies/1", "DELETE", {})
    assert answer.status == 409
    assert "workers run it" in answer.json["reason"]
    renamed = client.change("/api/studies/1/rename", "POST", {"study_name": "x"})
    assert renamed.status == 409
    assert names(site) == before
    assert [line.split(": ")[1][:14] for line in client.said[1:]] == ["workers run it"] * 2


def test_a_study_is_renamed_and_stays_itself(serve: Serve, site: Site) -> None:
    before = linked(site)
    client = serve()
    answer = client.change("/api/studies/1/rename", "POST", {"study_name": "new"})
    assert answer.status == 201
    assert (answer.json["study_id"], answer.json["study_name"]) == (1, "new")
    assert names(site) == {name.replace(NAME, "new") for name in before}
    taken = client.change("/api/studies/1/rename", "POST", {"study_name": "new"})
    assert taken.status == 409
    assert "there is a study 'new" in taken.json["reason"]
    assert client.change("/api/studies/1/rename", "POST", {}).status == 400
    assert len(client.ask("/api/studies/1").json["trials"]) == 5


def test_another_programs_study_can_be_deleted(serve: Serve, site: Site) -> None:
    theirs = optuna.create_study(study_name="theirs", storage=site.store.storage)
    theirs.add_trial(optuna.trial.create_trial(value=1.0))
    assert serve().change(f"/api/studies/{theirs._study_id}", "DELETE", {}).status == 204
    assert "theirs" not in names(site)
    assert NAME in names(site)
