"""Reproductions: tables, figures and verdicts of a profile in a folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from math import inf
from pathlib import Path
from typing import Any

from polarbias.errors import InvalidInput, StoreMismatch
from polarbias.experiments.engine.archive import Archive, is_archive
from polarbias.experiments.engine.figure import PaperFigure, draw_all
from polarbias.experiments.engine.lock import exclusive
from polarbias.experiments.engine.results import Results
from polarbias.experiments.engine.runner import Backend, ObserverFactory, Totals, run_tasks
from polarbias.experiments.engine.spec import Profile
from polarbias.experiments.engine.store import FOLDERS, Store, read_spec
from polarbias.experiments.grids.single import redraw_single
from polarbias.experiments.paper.figures import PAPER_FIGURES
from polarbias.experiments.paper.further_figures import FURTHER_FIGURES
from polarbias.experiments.paper.report import write_report
from polarbias.experiments.paper.statements import Finding, as_markdown, check_all
from polarbias.runtime.atomic_file import atomic_write, make_folder

FIGURES: dict[int, PaperFigure] = {figure.number: figure for figure in (*PAPER_FIGURES, *FURTHER_FIGURES)}


@dataclass(frozen=True)
class Reproduction:
    """Totals of the computation if there was one, findings, and the files that were drawn."""

    totals: Totals | None
    findings: list[Finding]
    files: list[Path]


def reproduce(
    profile: Profile,
    folder: Path,
    figures: Sequence[int] = tuple(FIGURES),
    *,
    observe: ObserverFactory,
    force: bool = False,
    backend: Backend | None = None,
) -> Reproduction:
    """Compute the tasks that are missing in ``folder``, then draw the figures and check the statements.

    Figures and statements take all tasks that calls with this profile have finished in the folder.

    Parameters
    ----------
    figures
        Numbers of the figures to compute.
    observe
        Function from the tasks to a context with the observer of their progress.
    force
        Discard results of another profile.
    backend
        Executor of the tasks, by default this process.

    Raises
    ------
    StoreBusy
        Another process uses the folder.
    StoreMismatch
        The folder holds results of another specification.
    InvalidInput
        The folder cannot be written, or a figure does not exist.
    """
    chosen = _figures(figures)
    with exclusive(folder):
        store = Store(folder, {"kind": "reproduction", "profile": profile.identity()}, force)
        earlier, trials = _plan(read_spec(folder), folder)
        planned = sorted({figure.number for figure in chosen} | {figure.number for figure in earlier})
        most = replace(profile, trials=max(profile.trials, trials))
        store.write_plan({"figures": planned, "trials": most.trials})
        tasks = [task for figure in chosen for task in figure.tasks(profile)]
        totals = run_tasks(tasks, profile, store, observe, backend)
        return replace(_show(_figures(planned), most, store, folder, folder), totals=totals)


def redraw(folder: Path, target: Path | None = None) -> Reproduction:
    """Draw the finished figures of a folder or an archive, or a folder's single run, in ``target``.

    The default of ``target`` is the folder itself. No task is computed.

    Raises
    ------
    StoreMismatch
        The folder holds no finished results.
    """
    content = read_spec(folder)
    target = target or folder
    make_folder(target)
    specification: dict[str, Any] = content["specification"]
    if specification.get("kind") == "run":
        return Reproduction(None, [], [redraw_single(specification, folder, target)])
    if specification.get("kind") == "sweep":
        raise StoreMismatch(f"{folder} holds a sweep, which has no figures; read its tables with pandas.read_parquet.")
    return _show(*_stored(content, folder), folder, target)


def report(folder: Path, path: Path | None = None) -> Path:
    """Write the report of a folder or an archive, by default to its ``report.html``. No task is computed.

    Raises
    ------
    StoreMismatch
        The folder holds no finished reproduction.
    InvalidInput
        The file cannot be written.
    """
    content = read_spec(folder)
    kind = content["specification"].get("kind")
    if kind != "reproduction":
        raise StoreMismatch(f"{folder} holds a {kind}; reports are of reproductions.")
    path = path or folder / "report.html"
    make_folder(path.parent)
    figures, results = _finished(*_stored(content, folder), folder)
    return write_report(path, folder, figures, results, check_all(results))


def _stored(content: dict[str, Any], folder: Path) -> tuple[list[PaperFigure], Profile, Store | Archive]:
    """Return the requested figures, the profile and the tables of a folder or an archive."""
    figures, trials = _plan(content, folder)
    try:
        profile = Profile.restored(content["specification"]["profile"], trials)
    except (KeyError, TypeError, AttributeError) as broken:
        raise StoreMismatch(f"{folder / 'spec.json'} does not describe a reproduction; delete the folder.") from broken
    if is_archive(folder):
        return figures, profile, Archive(folder)
    return figures, profile, Store(folder, {"kind": "reproduction", "profile": profile.identity()})


def _plan(content: dict[str, Any], folder: Path) -> tuple[list[PaperFigure], int]:
    """Return all figures and the largest number of trials that were requested, from the content of ``spec.json``."""
    plan = content["plan"]
    try:
        return _figures([int(number) for number in plan.get("figures", ())]), int(plan.get("trials", 1))
    except (TypeError, ValueError) as broken:  # InvalidInput is a ValueError
        raise StoreMismatch(f"{folder / 'spec.json'} cannot be read; delete the folder or use --force.") from broken


def _figures(numbers: Sequence[int]) -> list[PaperFigure]:
    unknown = sorted(set(numbers) - set(FIGURES))
    if unknown:
        raise InvalidInput(f"figure must be one of {', '.join(map(str, FIGURES))}, got {unknown[0]}.")
    return [FIGURES[number] for number in sorted(set(numbers))]


def _finished(
    figures: Sequence[PaperFigure], profile: Profile, store: Store | Archive, folder: Path
) -> tuple[list[PaperFigure], Results]:
    """Return the finished figures and the tables of their first finished trials.

    Runs and limits are counted separately; a figure that has both and lacks all of one is not finished.
    """
    whole: list[PaperFigure] = []
    keys: list[str] = []
    for figure in figures:
        tasks = figure.tasks(profile)
        found: list[list[str]] = []
        for kind in {task.is_limit for task in tasks}:
            alike = [task for task in tasks if task.is_limit == kind]
            missing = min((task.trial for task in alike if not store.finished(task.key)), default=inf)
            found.append([task.key for task in alike if task.trial < missing])
        if all(found):
            whole.append(figure)
            keys += chain(*found)
    if not whole:
        raise StoreMismatch(
            f"{folder} holds no finished figure yet; `polarbias reproduce --output {folder}` continues."
        )
    return whole, Results(profile, *(store.read(name, keys) for name in FOLDERS))


def _show(
    figures: Sequence[PaperFigure], profile: Profile, store: Store | Archive, folder: Path, target: Path
) -> Reproduction:
    whole, results = _finished(figures, profile, store, folder)
    files = draw_all(whole, results, target)
    findings = check_all(results)
    document = target / "statements.md"
    atomic_write(document, lambda path: path.write_text(as_markdown(findings, results)))
    page = write_report(target / "report.html", folder, whole, results, findings)
    return Reproduction(None, findings, [*files, document, page])
