"""Figures of the paper: their tasks, and panels drawn to files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from polarbias.experiments.engine.results import Results
from polarbias.experiments.engine.spec import Profile, Task
from polarbias.plotting.panels import STYLE
from polarbias.runtime.atomic_file import atomic_write

PANEL_SIZE = (5.2, 3.7)
"""Width and height of one panel in inches."""

PNG_DPI = 160


@dataclass(frozen=True)
class Panel:
    """One panel: its letter, the function that draws it, and its caption."""

    letter: str
    draw: Callable[[Axes, Results], None]
    caption: str


@dataclass(frozen=True)
class PaperFigure:
    """Figure of the paper: its tasks and panels."""

    number: int
    caption: str
    tasks: Callable[[Profile], list[Task]]
    panels: tuple[Panel, ...]


def drawn(panel: Panel, results: Results) -> Canvas:
    """Return the drawing of one panel."""
    canvas = Canvas(figsize=PANEL_SIZE, layout="constrained")
    panel.draw(canvas.add_subplot(), results)
    return canvas


def draw_all(figures: Sequence[PaperFigure], results: Results, folder: Path) -> list[Path]:
    """Draw each panel as PNG and PDF, and an overview of all panels as PNG; return the files."""
    files: list[Path] = []
    with mpl.rc_context(STYLE):
        for figure in figures:
            for panel in figure.panels:
                canvas = drawn(panel, results)
                stem = f"figure{figure.number}{panel.letter}"
                files += [save(canvas, folder / f"{stem}{suffix}") for suffix in (".png", ".pdf")]
        files.append(save(_overview(figures, results), folder / "overview.png"))
    return files


def _overview(figures: Sequence[PaperFigure], results: Results) -> Canvas:
    columns = max(len(figure.panels) for figure in figures)
    width, height = PANEL_SIZE
    canvas = Canvas(figsize=(0.86 * width * columns, 0.86 * (height + 0.35) * len(figures)), layout="constrained")
    rows = canvas.subfigures(len(figures), 1, squeeze=False)[:, 0]
    for row, figure in zip(rows, figures, strict=True):
        row.suptitle(f"Figure {figure.number}. {figure.caption}", fontsize=11, x=0.01, ha="left", weight="bold")
        axes = row.subplots(1, columns, squeeze=False)[0]
        for index, ax in enumerate(axes):
            if index < len(figure.panels):
                figure.panels[index].draw(ax, results)
            else:
                ax.set_axis_off()
    return canvas


def save(canvas: Canvas, path: Path) -> Path:
    """Write a canvas in the format of the path's suffix, whole or not at all."""
    # Without a date in it, the same data give the same file.
    metadata = {"CreationDate": None} if path.suffix == ".pdf" else None
    atomic_write(path, lambda temporary: canvas.savefig(temporary, dpi=PNG_DPI, metadata=metadata))
    return path
