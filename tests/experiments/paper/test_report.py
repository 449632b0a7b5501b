"""Reports: one self-contained page with the content of the tables."""

import re
from collections import Counter
from html.parser import HTMLParser
from urllib.parse import unquote

import pandas as pd
import pytest

from commands import call
from polarbias.errors import StoreMismatch
from polarbias.experiments import FIGURES, pack, report, reproduce
from polarbias.experiments.engine.archive import table_files
from polarbias.experiments.engine.store import read_metadata
from reproductions import quiet, small


class Page(HTMLParser):
    """Tags, identifiers, references and text of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.ids, self.links, self.text = Counter(), Counter(), [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags[tag] += 1
        for name, value in attrs:
            if name == "id":
                self.ids[value] += 1
            if name in ("href", "src", "xlink:href"):
                self.links.append(value)

    def handle_data(self, data):
        self.text += data


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("polarbias.experiments.paper.reproduction.draw_all", lambda figures, results, folder: [])
        made = reproduce(small(max_steps=2000), folder, [1, 4], observe=quiet)
    assert made.files[-1] == folder / "report.html"
    return folder, made.findings


def self_contained(path):
    text = path.read_text()
    page = Page(text)
    assert max(page.ids.values()) == 1
    assert not {"script", "link", "img", "iframe"} & set(page.tags)
    named = [link[1:] for link in page.links if link.startswith("#")] + re.findall(r"url\(#([^)]*)\)", text)
    assert 0 < len(set(named) & set(page.ids)) == len(set(named))
    others = [unquote(link) for link in page.links if not link.startswith(("#", "data:"))]
    assert [(path.parent / link).exists() for link in others] == [True] * max(len(others), 1)
    assert not re.search(r"(@import|url\((?!#))", text)
    return page


def test_the_page_has_panels_findings_and_totals(made):
    folder, findings = made
    page = self_contained(folder / "report.html")
    panels = [panel for number in (1, 4) for panel in FIGURES[number].panels]
    assert page.tags["svg"] == len(panels)
    assert len(findings) > 3
    runs = pd.read_parquet(folder / "runs")
    seconds = sum(read_metadata(path)["wall_seconds"] for path in table_files(folder))
    for text in (
        *(f"Figure {number}. {FIGURES[number].caption}" for number in (1, 4)),
        *(panel.caption for panel in panels),
        *(text for finding in findings for text in (finding.statement, finding.measured)),
        f"{len(runs):,}, {runs['steps'].sum():,} accepted steps",
        f"time inside tasks, on one core each{seconds:,.0f} s",
        "Lemma 3.4",
    ):
        assert text in page.text
    assert "violated" not in page.text


def test_archives_and_other_places(made, tmp_path):
    folder, _ = made
    pack(folder, tmp_path / "archive")
    assert report(tmp_path / "archive") == tmp_path / "archive" / "report.html"
    assert "not stored in an archive" in self_contained(tmp_path / "archive" / "report.html").text
    target = tmp_path / "a new folder" / "page.html"
    assert str(target) in call("report", folder, "--output", target).output
    self_contained(target)


def test_folders_without_a_reproduction(tmp_path):
    with pytest.raises(StoreMismatch):
        report(tmp_path)
    (tmp_path / "spec.json").write_text('{"specification": {"schema": 2, "kind": "run"}, "plan": {}}')
    assert "reports are of reproductions" in call("report", tmp_path, code=2).output
