"""``polarbias report``: text and JSON; tests/experiments/paper/test_report.py reads the page."""

from commands import call, call_json


def test_text_and_json(reproduction, tmp_path, monkeypatch):
    page, written = tmp_path / "page.html", []
    monkeypatch.setattr(
        "polarbias.experiments.paper.reproduction.write_report", lambda path, *_: written.append(path) or path
    )
    assert call("report", reproduction, "--output", page).stdout == f"the report is {page}\n"
    assert call_json("report", reproduction) == {"output": str(reproduction / "report.html")}
    assert written == [page, reproduction / "report.html"]
