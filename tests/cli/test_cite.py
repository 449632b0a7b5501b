"""``polarbias cite`` without a folder; tests/bibliography has the rest."""

import pytest

import polarbias as pb
from commands import call, call_json


@pytest.mark.parametrize(("style", "separator"), [("bibtex", "\n\n"), ("text", "\n")])
def test_text_json_and_files(style, separator, tmp_path):
    wanted, path = pb.citation(style=style), tmp_path / "references.bib"
    assert call("cite", "--style", style).stdout == f"{wanted}\n"
    assert call("cite", "--style", style, "-o", path).stdout == f"stored in {path}\n"
    assert path.read_text() == f"{wanted}\n"
    assert call_json("cite", "--style", style) == {"style": style, "entries": wanted.split(separator), "output": None}


def test_wrong_input_ends_with_2(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results").mkdir()
    for arguments, part in (
        (["--style", "apa"], "'bibtex', 'text'"),
        (["-o", "none/x.bib"], "there is no folder 'none'"),
        (["-o", "."], "is a directory"),
        (["results", "-o", "x.bib"], "results holds no results: there is no spec.json in it."),
    ):
        assert part in call("cite", *arguments, code=2).stderr
    assert not (tmp_path / "x.bib").exists()
