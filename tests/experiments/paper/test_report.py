"""Reports: one self-contained page with the content of the tables."""

import re
from collections import Counter
from html.parser import HTMLParser
from urllib.parse import unquote

import pandas as pd
import pytest

from commands import call
from polarbias.errors import StoreMismatch
from polarbias.experiments import FIGURES, Profile, pack, redraw, report, reproduce
from reproductions import quiet

PROFILE = Profile(
    "small", trials=1, starts=2, r0=(0.1, 1.0), ratios=(1.0, 0.1), max_steps=2000, m=10, n=20, s=2,
    limit_trials=1, limit_r0=(0.1, 1.0), map_size=(5, 4),
)  # fmt: skip


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
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("polarbias.experiments.paper.reproduction.draw_all", lambda figures, results, folder: [])
        assert reproduce(PROFILE, folder, [1, 4], observe=quiet).files[-1] == folder / "report.html"
    return folder


def assert_self_contained(path):
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


def test_the_page_is_self_contained_and_has_every_panel(folder):
    page = assert_self_contained(folder / "report.html")
    assert page.tags["svg"] == sum(len(FIGURES[number].panels) for number in (1, 4))
    for number in (1, 4):
        assert f"Figure {number}. {FIGURES[number].caption}" in page.text
        for panel in FIGURES[number].panels:
            assert panel.caption in page.text


def test_the_page_has_the_findings_and_totals_of_the_tables(folder, monkeypatch):
    monkeypatch.setattr("polarbias.experiments.paper.reproduction.draw_all", lambda figures, results, folder: [])
    page = Page((folder / "report.html").read_text())
    findings = redraw(folder).findings
    assert len(findings) > 3
    for finding in findings:
        assert finding.statement in page.text
        assert finding.measured in page.text
    runs = pd.read_parquet(folder / "runs")
    assert f"{len(runs):,}, {runs['steps'].sum():,} accepted steps" in page.text
    assert "Lemma 3.4" in page.text
    assert "violated" not in page.text
    assert re.search(r"time inside tasks, on one core each\s*[\d,]+ s", page.text)


def test_archives_and_other_places(folder, tmp_path):
    pack(folder, tmp_path / "archive")
    assert report(tmp_path / "archive") == tmp_path / "archive" / "report.html"
    page = assert_self_contained(tmp_path / "archive" / "report.html")
    assert "not stored in an archive" in page.text
    target = tmp_path / "a new folder" / "page.html"
    assert str(target) in call("report", folder, "--output", target).output
    assert_self_contained(target)


def test_folders_without_a_reproduction(tmp_path):
    with pytest.raises(StoreMismatch):
        report(tmp_path)
    call("run", "--m", 5, "--n", 9, "--max-steps", 3, "--output", tmp_path / "one")
    done = call("report", tmp_path / "one", code=2)
    assert "reports are of reproductions" in done.output
