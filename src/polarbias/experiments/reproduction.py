"""From a profile to tables, figures and verdicts in a folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from polarbias.errors import InvalidInput, StoreMismatch
from polarbias.experiments import fig1, fig2, fig3, fig4, fig5
from polarbias.experiments.figure import PaperFigure, draw_all
from polarbias.experiments.results import Results
from polarbias.experiments.runner import Tally, Watching, run_cells
from polarbias.experiments.spec import Cell, Profile
from polarbias.experiments.statements import Finding, as_markdown, judge_all
from polarbias.experiments.store import Store, read_spec, write_whole

FIGURES: dict[int, PaperFigure] = {module.FIGURE.number: module.FIGURE for module in (fig1, fig2, fig3, fig4, fig5)}


@dataclass(frozen=True)
class Outcome:
    """What a reproduction left behind."""

    tally: Tally | None
    findings: list[Finding]
    files: list[Path]


def reproduce(
    profile: Profile, folder: Path, figures: Sequence[int] = tuple(FIGURES), *, watching: Watching, force: bool = False
) -> Outcome:
    """Compute what is missing in ``folder``, then draw the figures and judge the statements.

    Raises
    ------
    StoreMismatch
        The folder holds results of another specification.
    InvalidInput
        The folder cannot be written, or a figure does not exist.
    """
    chosen = _figures(figures)
    store = Store(folder, {"kind": "reproduction", "profile": profile.identity()}, force)
    store.write_plan({"figures": [figure.number for figure in chosen], "trials": profile.trials})
    cells = _cells(chosen, profile)
    tally = run_cells(cells, profile, store, watching)
    return replace(_show(chosen, profile, store, folder), tally=tally)


def redraw(folder: Path) -> Outcome:
    """Draw the finished part of a folder again, without computing anything.

    Raises
    ------
    StoreMismatch
        The folder holds no reproduction, or one without a finished figure.
    """
    content = read_spec(folder)
    specification: dict[str, Any] = content["specification"]
    if specification.get("kind") != "reproduction":
        raise StoreMismatch(f"{folder} does not hold a reproduction of the figures.")
    profile = Profile.restored(specification["profile"], content["plan"].get("trials", 1))
    store = Store(folder, {"kind": "reproduction", "profile": profile.identity()})
    asked = _figures(content["plan"].get("figures", ()))
    whole = [figure for figure in asked if all(store.finished(cell.key) for cell in figure.cells(profile))]
    if not whole:
        raise StoreMismatch(f"{folder} holds no finished figure yet; `polarbias reproduce --out {folder}` goes on.")
    return _show(whole, profile, store, folder)


def _figures(numbers: Sequence[int]) -> list[PaperFigure]:
    unknown = sorted(set(numbers) - set(FIGURES))
    if unknown:
        raise InvalidInput(f"figure must be one of {', '.join(map(str, FIGURES))}, got {unknown[0]}.")
    return [FIGURES[number] for number in sorted(set(numbers))]


def _cells(figures: Sequence[PaperFigure], profile: Profile) -> list[Cell]:
    return [cell for figure in figures for cell in figure.cells(profile)]


def _show(figures: Sequence[PaperFigure], profile: Profile, store: Store, folder: Path) -> Outcome:
    runs, trajectories = store.read(cell.key for cell in _cells(figures, profile))
    results = Results(profile, runs, trajectories)
    files = draw_all(figures, results, folder)
    findings = judge_all(results)
    document = folder / "statements.md"
    write_whole(document, lambda path: path.write_text(as_markdown(findings, results)))
    return Outcome(None, findings, [*files, document])
