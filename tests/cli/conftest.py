"""A tiny reproduction, whose drawings are left out."""

import pytest


@pytest.fixture(scope="session")
def profile():
    from polarbias.experiments import Profile  # not available to `make test-min`

    return Profile(
        "tiny", trials=1, starts=1, r0=(0.1, 1.0, 10.0), ratios=(1.0, 0.1), max_steps=200, m=12, n=30, s=3,
        limit_trials=1, limit_r0=(0.1, 1.0), limit_ratios=(1.0, 0.1), map_size=(3, 3),
    )  # fmt: skip


@pytest.fixture
def tiny(monkeypatch, profile):
    """Make the tiny profile that of ``reproduce`` without options."""
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
