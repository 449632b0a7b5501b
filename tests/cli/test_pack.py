"""``polarbias pack``: text and JSON; tests/experiments/engine/test_archive.py reads the files."""

import re
from pathlib import Path

import pandas as pd

from commands import call, call_json


def test_text_and_json(reproduction, tmp_path):
    record = call_json("pack", reproduction, tmp_path / "packed", "--records", 5)
    assert record["output"] == str(tmp_path / "packed")
    assert record["bytes"] == sum(Path(path).stat().st_size for path in record["files"])
    records = pd.read_parquet(tmp_path / "packed" / "trajectories.parquet")
    assert records.groupby(["algorithm", "r0", "ratio"], dropna=False).size().max() <= 6
    text = call("pack", reproduction, tmp_path / "again").stdout
    assert re.fullmatch(rf"spec\.json, .* are in {tmp_path / 'again'}: 0\.\d MB\n", text)
