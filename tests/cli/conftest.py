"""A small reproduction, whose drawings are left out."""

import pytest


@pytest.fixture(autouse=True)
def in_this_process(no_logging_set_up):
    """Commands run in the process of the tests."""


@pytest.fixture
def small_pictures(monkeypatch):
    monkeypatch.setattr("polarbias.experiments.engine.figure.PNG_DPI", 40)  # to save time


@pytest.fixture(scope="session")
def profile():
    from reproductions import small  # not available to `make test-min`

    return small(max_steps=200)


@pytest.fixture
def tiny(monkeypatch, profile):
    """Make the small profile that of ``reproduce`` without options."""
    from polarbias import experiments

    monkeypatch.setitem(experiments.PROFILES, "quick", profile)


@pytest.fixture(scope="session")
def reproduction(tmp_path_factory, profile):
    """Return a folder with Figure 4."""
    from polarbias.experiments import reproduce
    from reproductions import quiet

    folder = tmp_path_factory.mktemp("reproduction")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("polarbias.experiments.paper.reproduction.draw_all", lambda figures, results, folder: [])
        patch.setattr("polarbias.experiments.paper.reproduction.write_report", lambda path, *_: path)
        reproduce(profile, folder, [4], observe=quiet)
    return folder
