"""Grids from TOML files: errors before any work, and the tasks of their combinations."""

import re

import pytest

from commands import call
from grids import written
from polarbias.experiments import read_grid, sweep
from polarbias.experiments.grids.cost import estimate_cost
from polarbias.experiments.grids.grid import KEYS
from repository import ROOT
from reproductions import quiet

pytestmark = pytest.mark.usefixtures("no_logging_set_up")

PAGE = ROOT / "docs" / "sweep.md"


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"truht": "sparse"}, ["'truht'", "did you mean 'truth'", "max_steps"]),
        ({"truth": ["sparse", "dense"]}, ["truth = 'dense'", "'gaussian', 'sparse', 'signed'"]),
        ({"truth": []}, ["truth = []", "at least one value"]),
        ({"m": 0}, ["m = 0", "integer of at least 1"]),
        ({"n": [20, 1.5]}, ["n = 1.5", "integer of at least 1"]),
        ({"s": True}, ["s = True", "integer of at least 1"]),
        ({"depth": [[2]]}, ["depth = [2]", "integer from 1 to 1000"]),
        ({"algorithm": "deep"}, ["algorithm = 'deep'", "'wn-separate', 'wn-renormalized'"]),
        ({"law": "power:x"}, ["law = 'power:x'", "constant, harmonic or power:K"]),
        ({"law": 3}, ["law = 3", "constant, harmonic or power:K"]),
        ({"law": ["power:2", "power:2.0"]}, ["each value once", "'power:2'"]),
        ({"ratio": [0.1, -1]}, ["ratio = -1", "a finite number above 0"]),
        ({"ratio": 10**400}, ["ratio = 1000", "a finite number above 0"]),
        ({"scale": [1, 1.0]}, ["each value once", "1.0"]),
        ({"direction": "zero"}, ["direction = 'zero'", "'gaussian', 'uniform'"]),
        ({"step": "fast"}, ["step = 'fast'", "armijo, stable, mirror, limit or a finite number above 0"]),
        ({"step": [0.0]}, ["step = 0.0", "a finite number above 0"]),
        ({"center_rows": 1}, ["center_rows = 1", "True or False"]),
        ({"trials": [1, 2]}, ["trials = [1, 2]", "one value"]),
        ({"max_steps": 10**16}, ["max_steps = 1000", "1e+15"]),
        ({"tol": -1}, ["tol = -1", "at least 0"]),
        ({"seed": -1}, ["seed = -1", "an integer from 0 to"]),
        ({"algorithm": "wn-separate"}, ["no task", "needs a signed truth"]),
        ({"truth": "sparse", "s": 30}, ["no task", "s is more than n"]),
        ({"step": "mirror", "depth": 1}, ["no task", "depth 2 or above"]),
    ],
)
def test_errors_name_key_value_and_expectation(changes, parts, tmp_path):
    message = call("sweep", written(tmp_path, **changes), "--output", tmp_path / "out", code=2).stderr
    assert message.startswith("polarbias: ")
    assert message.count("\n") == 1
    assert all(part in message for part in parts), message
    assert not (tmp_path / "out").exists()


def test_files_that_are_no_toml(tmp_path):
    path = tmp_path / "grid.toml"
    for content in (b"m = ", b"m = 1\nm = 2", b"\xff\xfe"):
        path.write_bytes(content)
        assert "is not TOML" in call("sweep", path, "--output", tmp_path / "out", code=2).stderr


def test_tasks_are_the_product_of_the_axes_without_impossible_combinations(tmp_path):
    grid = read_grid(
        written(
            tmp_path, truth=["gaussian", "signed"], n=[20, 30], s=[2, 3], depth=[1, 2], law=["constant", "power:2.0"],
            algorithm=["plain", "wn", "wn-separate", "wn-renormalized"], step=["armijo", 0.01, "mirror", "limit"],
            direction=["gaussian", "uniform"], center_rows=[False, True], trials=2,
        )
    )  # fmt: skip
    tasks, left_out = grid.tasks()
    assert len({task.key for task in tasks}) == len(tasks) == len({task.label for task in tasks})
    # Per truth (one of gaussian's sparsities counts), network, law (plain has none): rules that are left.
    networks = {
        "gaussian": 1 * (4 + 3) + 2 * (4 + 3) + 2 * (2 + 2),
        "signed": 2 * (1 * (4 + 3) + 2 * (4 + 3) + 2 * (2 + 2) + 2 * (2 + 2)),
    }
    assert len(tasks) == 2 * 2 * 2 * 2 * sum(networks.values())
    assert {"wn-separate needs a signed truth", "step = 'mirror' needs depth 2 or above"} < set(left_out)
    for task in tasks:
        ratios = [1.0] if task.algorithm == "plain" else [1.0, 0.1]
        assert [(c.r0, c.ratio, c.start) for c in task.runs] == [(r0, f, task.trial) for f in ratios for r0 in (0.1, 1)]
    assert {task.law for task in tasks} == {"constant", "power:2"}
    assert re.fullmatch(r"[-a-z0-9.]+", max(tasks, key=lambda task: len(task.key)).key)


def test_the_page_lists_every_key_and_its_example_runs(tmp_path):
    text = PAGE.read_text()
    for name, key in KEYS.items():
        default = key.default[0] if key.is_axis else key.default
        shown = str(default).lower() if isinstance(default, bool) else f"{default:,}" if default == 100_000 else default
        assert re.search(rf"^\| `{name}` \|.*\| `?{re.escape(str(shown))}`? \|", text, re.MULTILINE), name
    [example] = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    grid = read_grid(written(tmp_path, example))
    tasks, left_out = grid.tasks()
    [(count, limits, runs)] = re.findall(r"^tasks: (\d+), (\d+) of them exact limits; runs: (\d+)$", text, re.MULTILINE)
    found = estimate_cost(tasks, grid.profile)
    assert (found.tasks, found.limit_tasks, found.runs) == (int(count), int(limits), int(runs))
    assert all(f"combinations, because {reason}" in text for reason in left_out)
    totals, summary = sweep(grid, tmp_path / "out", observe=quiet)
    assert totals.computed == len(tasks)
    assert summary["runs"].sum() == found.runs
