"""The study's page is written whole, and takes no note from whoever edits one meanwhile."""

import time

import optuna

from cvfp_opt.store.database.optuna_private import study_id_of
from cvfp_opt.store.database.storage import Store
from cvfp_opt.store.record.study_page import note_of, put_note, read_note, save_note, write_page


def test_a_note_that_is_saved_while_the_page_is_made_stays(
    store: Store, study: optuna.Study
) -> None:
    study_id = study_id_of(study)

    def compose(page: optuna.Study) -> None:
        assert note_of(page) == ""
        assert save_note(store, study_id, "somebody's", 1)
        assert save_note(store, study_id, "somebody's, longer", 2)
        put_note(page, "ours")
        put_note(page, "ours, on a trial", trial_id=7)

    write_page(store, study, compose, started=time.perf_counter(), ended=0)
    assert read_note(store, study_id) == (2, "somebody's, longer")
    assert read_note(store, study_id, 7) == (1, "ours, on a trial")


def test_the_next_page_has_its_note_again(store: Store, study: optuna.Study) -> None:
    for text in ("first", "second"):
        write_page(
            store,
            study,
            lambda page, text=text: put_note(page, text),  # type: ignore[misc]
            started=time.perf_counter(),
            ended=0,
        )
    assert read_note(store, study_id_of(study)) == (2, "second")
