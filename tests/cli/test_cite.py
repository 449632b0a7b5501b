"""``polarbias cite`` without a folder; tests/bibliography has the rest."""

import json

import pytest

import polarbias as pb
from commands import call, call_json

pytestmark = pytest.mark.usefixtures("no_logging_set_up")


@pytest.mark.parametrize("style", ["bibtex", "text"])
def test_text_json_and_files(style, tmp_path):
    wanted = pb.citation(style=style)
    assert call("cite", "--style", style).stdout == f"{wanted}\n"
    path = tmp_path / "references.bib"
    assert call("cite", "--style", style, "-o", path).stdout == f"stored in {path}\n"
    assert path.read_text() == f"{wanted}\n"
    record = call_json("cite", "--style", style)
    assert ("\n\n" if style == "bibtex" else "\n").join(record["entries"]) == wanted
    assert (record["style"], record["output"], len(record["entries"])) == (style, None, 2)


def test_wrong_input_ends_with_2(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    (tmp_path / "results").mkdir()
    for arguments, part in (
        (["nowhere"], "does not exist"),
        (["file"], "is a file"),
        (["--style", "apa"], "'bibtex', 'text'"),
        (["-o", "none/x.bib"], "there is no folder 'none'"),
        (["-o", "x" * 300], "name is too long"),
        (["-o", "."], "is a directory"),
        (["results", "-o", "x.bib"], "results holds no results: there is no spec.json in it."),
    ):
        assert part in call("cite", *arguments, code=2).stderr
    (tmp_path / "results" / "spec.json").write_text(json.dumps({"specification": {"schema": 1}, "plan": {}}))
    assert "schema version 1, this is version 2" in call("cite", "results", code=2).stderr
    assert not (tmp_path / "x.bib").exists()
