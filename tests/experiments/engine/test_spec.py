"""Specifications: profiles, and the names and identities of tasks."""

from dataclasses import replace

import numpy as np
import pytest

import polarbias as pb
from polarbias.experiments import PAPER, PROFILES, QUICK, Profile, adjusted
from polarbias.experiments.engine.spec import LIMIT, RunConfiguration, Task, configurations
from polarbias.experiments.engine.store import read_spec
from repository import ROOT

ONE = (RunConfiguration(1.0, 0.1, 0),)


def test_profiles():
    assert PROFILES == {"quick": QUICK, "paper": PAPER}
    assert Profile.restored(read_spec(ROOT / "docs" / "paper")["specification"]["profile"], 10) == PAPER
    changes = {"name": "quick", "trials": 1, "starts": 3, "max_steps": 100_000, "ratios": (10, 1, 0.3, 0.1)}
    assert replace(PAPER, r0=(0.01, 0.1, 1, 10**0.5, 10), **changes) == QUICK


def test_identities_survive_json_and_ignore_only_trials():
    assert Profile.restored(QUICK.identity() | {"r0": list(QUICK.r0)}, 1) == QUICK
    assert replace(QUICK, trials=9).identity() == QUICK.identity()
    for name in QUICK.identity():
        changed = {"name": "x", "r0": (1.0,), "ratios": (1.0,), "limit_r0": (1.0,), "limit_ratios": (1.0,)}.get(name, 9)
        assert replace(QUICK, **{name: changed}).identity() != QUICK.identity(), name
    task = Task(4, 0, "wn", "sparse", ONE)
    assert not {"size", "instance"} & task.identity().keys()
    assert replace(task, size=(5, 9, 2)).identity()["size"] == (5, 9, 2)


@pytest.mark.parametrize(
    ("options", "key", "label"),
    [
        ({}, "figure4-trial03-wn", "Figure 4, trial 3, wn"),
        ({"step": LIMIT}, "figure4-trial03-wn-limit", "Figure 4, trial 3, wn, exact limits"),
        (
            {"step": "stable", "centred": True, "part": "map"},
            "figure4-trial03-wn-stable-centred-map",
            "Figure 4, trial 3, wn, constant step, centred rows, map",
        ),
        ({"step": "0.01"}, "figure4-trial03-wn-0.01", "Figure 4, trial 3, wn, constant step 0.01"),
        ({"figure": 0, "size": (5, 9, 2), "part": "5x9"}, "sweep-trial03-wn-5x9", "trial 3, wn, 5x9"),
        ({"figure": 0, "step": "mirror"}, "figure0-trial03-wn-mirror", "wn, mirror descent"),
    ],
)
def test_keys_and_labels(options, key, label):
    task = Task(**{"figure": 4, "trial": 3, "algorithm": "wn", "truth": "sparse", "runs": ONE, **options})
    assert (task.key, task.label, task.is_limit) == (key, label, task.step == LIMIT)


def test_runs_are_the_product_of_starts_ratios_and_scales():
    runs = configurations((0.1, 1.0), (2.0, 3.0), (7,))
    assert [(run.r0, run.ratio, run.start) for run in runs] == [(0.1, 2, 7), (1, 2, 7), (0.1, 3, 7), (1, 3, 7)]


@pytest.mark.parametrize(("truth", "length"), [("gaussian", 30), ("signed", 60)])
@pytest.mark.parametrize("direction", ["gaussian", "uniform"])
def test_starts_and_ratios_of_a_task(truth, length, direction):
    runs = (RunConfiguration(2.0, 0.1, 5), RunConfiguration(3.0, 0.2, 6))
    configuration = Task(2, 1, "wn", truth, runs, direction=direction, size=(4, 30, 2)).configuration(QUICK)
    network = configuration.network()
    for run, x0 in zip(runs, network.factor(configuration.theta0(30)), strict=True):
        u0 = pb.folded_gaussian_direction(0, length, experiment=2, trial=run.start)
        u0 = np.full(length, length**-0.5) if direction == "uniform" else u0
        np.testing.assert_allclose(x0, run.r0 * u0, rtol=1e-13)
    np.testing.assert_array_equal(network.ratio.f(1.0), [0.1, 0.2])


def test_changed_profiles():
    assert adjusted(QUICK, 2, None, 7) == replace(QUICK, trials=2, seed=7)
    assert adjusted(QUICK, None, 5, None) == replace(QUICK, max_steps=5)
    for name, value in (("trials", 0), ("max_steps", 0), ("seed", -1), ("trials", 1.5), ("seed", True)):
        with pytest.raises(pb.InvalidInput, match=f"{name} must be an integer of at least .*, got {value}"):
            adjusted(QUICK, **{"trials": None, "max_steps": None, "seed": None, name: value})
