"""Files of drawn panels: names, formats, equal bytes for equal data, and untouched settings of Matplotlib."""

import matplotlib as mpl
import pandas as pd
import pytest

from polarbias.experiments import QUICK
from polarbias.experiments.engine import figure
from polarbias.experiments.engine.results import Results


def drawing(label):
    return lambda ax, results: ax.plot([1, results.profile.trials], label=label) and ax.legend()


@pytest.fixture
def figures(monkeypatch):
    monkeypatch.setattr(figure, "PNG_DPI", 40)
    panels = [figure.Panel(letter, drawing(letter), f"Caption {letter}") for letter in "ab"]
    return [figure.PaperFigure(9, "Nine", None, tuple(panels)), figure.PaperFigure(10, "Ten", None, (panels[0],))]


def test_panels_and_overview_are_drawn_to_reproducible_files(figures, tmp_path):
    results, before = Results(QUICK, pd.DataFrame(), pd.DataFrame()), dict(mpl.rcParams)
    folders = tmp_path / "a", tmp_path / "b"
    for folder in folders:
        folder.mkdir()
    files = figure.draw_all(figures, results, folders[0])
    assert dict(mpl.rcParams) == before
    names = [f"figure{name}{suffix}" for name in ("9a", "9b", "10a") for suffix in (".png", ".pdf")]
    assert [path.name for path in files] == [*names, "overview.png"]
    for path in files:
        assert path.read_bytes().startswith(b"\x89PNG" if path.suffix == ".png" else b"%PDF")
        assert path.stat().st_size > 1500
    for path in figure.draw_all(figures[1:], results, folders[1])[:-1]:
        assert path.read_bytes() == (folders[0] / path.name).read_bytes()


def test_the_overview_has_a_row_for_each_figure(figures):
    canvas = figure._overview(figures, Results(QUICK, pd.DataFrame(), pd.DataFrame()))
    rows = [(row.get_suptitle(), [len(ax.get_lines()) for ax in row.axes]) for row in canvas.subfigs]
    assert rows == [("Figure 9. Nine", [1, 1]), ("Figure 10. Ten", [1, 0])]
