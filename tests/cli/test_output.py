"""Result files and JSON."""

import json

import click
import numpy as np
import pytest

from polarbias.cli import output


def test_json_is_strict_and_on_one_line(capsys, tmp_path):
    output.print_json(
        {"a": np.array([1.0, np.nan]), "b": np.int64(3), "c": [float("inf"), np.bool_(True)], "d": tmp_path, 5: "x"}
    )
    text = capsys.readouterr().out
    assert text.count("\n") == 1
    assert json.loads(text) == {"a": [1.0, None], "b": 3, "c": [None, True], "d": str(tmp_path), "5": "x"}


@pytest.mark.parametrize(
    ("name", "part"), [("x.txt", ".npz, .npy, .csv"), ("no/x.npz", "no folder"), ("x" * 300 + ".npy", "too long")]
)
def test_paths_that_cannot_be_written_are_refused(name, part, tmp_path):
    with click.Context(click.Command("x")), pytest.raises(click.BadParameter, match=part):
        output.check_output(tmp_path / name)
    output.check_output(None)
    output.check_output(tmp_path / "x.NPY")
