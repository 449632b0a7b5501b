"""Report of a reproduction: one self-contained web page of figures, statements, theorems and parameters."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterable, Sequence
from html import escape
from importlib.metadata import version
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd

from polarbias.experiments.engine.archive import archived, is_archive, table_files
from polarbias.experiments.engine.figure import Panel, PaperFigure, drawn
from polarbias.experiments.engine.results import Results
from polarbias.experiments.engine.spec import LIMIT, Profile
from polarbias.experiments.engine.store import FOLDERS, read_metadata
from polarbias.experiments.paper.statements import Finding
from polarbias.flow.gradient_flow import gradient_flow
from polarbias.networks import HadamardPower, WeightNormalization
from polarbias.plotting.panels import STYLE, number
from polarbias.problems.ensembles import folded_gaussian_direction, gaussian_problem
from polarbias.runtime.atomic_file import atomic_write
from polarbias.theory.verify import verify

PACKAGES = ("polarbias", "numpy", "scipy", "jax", "matplotlib", "pandas")

LISTED = 8
"""Largest number of values of a parameter that are listed; for more, the page gives their number and range."""

STYLESHEET = """
:root { color-scheme: light dark; --back: #fff; --text: #1c1c1c; --faint: #666; --line: #ddd; --card: #fff; }
@media (prefers-color-scheme: dark) {
  :root { --back: #16181b; --text: #e4e4e4; --faint: #a0a0a0; --line: #3a3d41; --card: #f7f7f5; }
}
body { background: var(--back); color: var(--text); font: 16px/1.5 system-ui, sans-serif; margin: 0 auto;
  max-width: 72rem; padding: 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.25rem; margin-top: 2.5rem; border-top: 1px solid var(--line);
  padding-top: 1rem; }
nav a { margin-right: 1rem; white-space: nowrap; } a { color: inherit; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; width: 100%; }
th, td { border-bottom: 1px solid var(--line); padding: .35rem .6rem; text-align: left; vertical-align: top; }
.verdict { font-weight: 600; white-space: nowrap; }
.held::before { content: "\\2713\\00a0"; } .failed::before { content: "\\2717\\00a0"; }
.open::before { content: "?\\00a0"; }
.panels { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 20rem), 1fr)); }
figure { margin: 0; break-inside: avoid; } figure svg { background: var(--card); border-radius: 6px; height: auto;
  width: 100%; }
figcaption, .faint { color: var(--faint); font-size: .9rem; } code { font-size: .85rem; overflow-wrap: anywhere; }
@media print { nav { display: none; } h2 { break-after: avoid; } body { max-width: none; } }
"""


def write_report(
    path: Path, folder: Path, figures: Sequence[PaperFigure], results: Results, findings: Iterable[Finding]
) -> Path:
    """Write the page atomically: the finished figures with their tables from ``folder``, and the findings."""
    profile = results.profile
    base = Path(os.path.relpath(folder, path.parent)).as_posix()
    sections = "\n".join(_figure(figure, results, folder, base) for figure in figures)
    links = " ".join(f'<a href="#figure{f.number}">Figure {f.number}</a>' for f in figures)
    page = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Robust implicit regularization, measured</title><style>{STYLESHEET}</style></head><body>
<h1>Robust implicit regularization via weight normalization, measured</h1>
<p>The experiments of Chou, Rauhut, Ward (arXiv:2305.05448v1), profile <b>{escape(profile.name)}</b>: {profile.trials}
trials, {profile.m} equations, {profile.n} unknowns, at most {profile.max_steps:,} steps, seed {profile.seed}.</p>
<nav><a href="#statements">Statements</a> <a href="#theorems">Theorems</a> {links}
<a href="#environment">Environment</a></nav>
<h2 id="statements">The paper's statements</h2>
{_statements(findings)}
<h2 id="theorems">The paper's theorems</h2>
{_theorems(profile)}
{sections}
<h2 id="environment">Environment</h2>
{_environment(results, folder)}
</body></html>
"""
    atomic_write(path, lambda temporary: temporary.write_text(page, encoding="utf-8"))
    return path


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of cells of HTML."""
    head = "".join(f"<th>{name}</th>" for name in header)
    body = "\n".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table></div>'


def _verdict(text: str) -> str:
    kind = {"held": "held", "holds": "held", "failed": "failed", "violated": "failed"}.get(text, "open")
    return f'<span class="verdict {kind}">{escape(text)}</span>'


def _statements(findings: Iterable[Finding]) -> str:
    rows = [
        (str(f.number), escape(f.statement), _verdict(str(f.verdict)), escape(f.measured), escape(f.source))
        for f in findings
    ]
    return _table(("#", "statement", "verdict", "measured", "source"), rows)


def _theorems(profile: Profile) -> str:
    """Return the table of the paper's results, checked for one flow."""
    problem = gaussian_problem(profile.seed, profile.m, profile.n, experiment=2)
    network = WeightNormalization(HadamardPower(2), profile.ratio)
    theta0 = network.init(profile.scale, folded_gaussian_direction(profile.seed, profile.n, experiment=2))
    rows = [
        (escape(row.statement), _verdict(row.verdict.value), escape(row.predicted), escape(row.observed))
        for row in verify(problem, network, theta0, gradient_flow(problem, network, theta0)).rows
    ]
    note = (
        f"<p class='faint'>Checked for gradient flow on Figure 2's first trial from r0 = {profile.scale:g}. A row"
        " without a verdict has a hypothesis that this start does not meet; other starts:"
        " <code>polarbias verify</code>.</p>"
    )
    return note + _table(("result", "verdict", "predicts", "observed"), rows)


def _figure(figure: PaperFigure, results: Results, folder: Path, base: str) -> str:
    panels = "\n".join(_panel(figure, panel, results) for panel in figure.panels)
    names = [archived(folder, name).name for name in FOLDERS] if is_archive(folder) else FOLDERS
    tables = ", ".join(f'<a href="{escape(base)}/{name}">{name}</a>' for name in names if (folder / name).exists())
    rows = f'pandas.read_parquet("{folder.as_posix()}/{names[0]}", filters=[("figure", "==", {figure.number})])'
    return f"""<h2 id="figure{figure.number}">Figure {figure.number}. {escape(figure.caption)}</h2>
<div class="panels">
{panels}
</div>
<p class="faint">Tables: {tables}; <code>{escape(rows)}</code>.
Draw again: <code>polarbias plot {escape(folder.as_posix())}</code>.</p>
{_parameters(figure.number, results)}"""


def _panel(figure: PaperFigure, panel: Panel, results: Results) -> str:
    name = f"{figure.number}{panel.letter}"
    stream = io.StringIO()
    with mpl.rc_context(STYLE):
        drawn(panel, results).savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    image = stream.getvalue()
    image = image[image.index("<svg") :]
    # The drawings share one namespace of identifiers.
    image = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>f{name}-", image)
    image = image.replace("<svg ", f'<svg role="img" aria-label="Figure {name}: {escape(panel.caption)}" ', 1)
    return f"<figure>{image}<figcaption><b>{name}.</b> {escape(panel.caption)}</figcaption></figure>"


def _parameters(figure: int, results: Results) -> str:
    """Return the table of the parameters of a figure's runs and limits."""
    rows = []
    for kind, table in (("descent", results.runs), ("exact limits", results.limits)):
        own = table[table["figure"] == figure] if len(table) else table
        for (algorithm, step), group in own.groupby(["algorithm", "step_rule"]) if len(own) else ():
            values = [_values(group[name]) for name in ("truth", "depth", "law", "direction", "r0", "ratio")]
            counts = [str(group["trial"].nunique()), str(group["start"].nunique()), f"{len(group):,}"]
            shown = "-" if step == LIMIT else escape(str(step))
            rows.append((kind, escape(str(algorithm)), shown, *values, *counts))
    names = ("", "network", "steps", "truth", "depth", "law", "direction", "r0", "eta", "trials", "starts", "runs")
    return f"<details><summary>Parameters</summary>{_table(names, rows)}</details>"


def _values(column: pd.Series) -> str:
    """Return the distinct values of a column: all, or their number and range."""
    found = sorted(column.dropna().unique())
    if not found:
        return "-"
    shown = [number(float(v)) if isinstance(v, float | np.floating) else escape(str(v)) for v in found]
    return ", ".join(shown) if len(shown) <= LISTED else f"{len(shown)} from {shown[0]} to {shown[-1]}"


def _environment(results: Results, folder: Path) -> str:
    runs = results.runs
    steps, ends = 0, "0"
    if len(runs):
        steps = int(runs["steps"].sum())
        ends = ", ".join(f"{count:,} {name}" for name, count in runs["status"].value_counts().items())
    # The first file of an archive has the makers of all tasks.
    stored = [read_metadata(path) for path in table_files(folder)]
    makers = stored[0].get("made_by", []) if is_archive(folder) else stored
    described = [
        f"Python {maker.get('python')}, {maker.get('machine')}, "
        + ", ".join(f"{name} {release}" for name, release in maker.get("versions", {}).items())
        for maker in makers
    ]
    seconds = f"{sum(float(maker.get('wall_seconds', 0.0)) for maker in makers):,.0f} s"
    rows = [
        ("runs of descent", f"{len(runs):,}, {steps:,} accepted steps: {escape(ends)}"),
        ("exact limits", f"{len(results.limits):,}"),
        *(("computed with", escape(maker)) for maker in dict.fromkeys(described)),
        ("time inside tasks, on one core each", "not stored in an archive" if is_archive(folder) else seconds),
        ("drawn with", ", ".join(f"{name} {version(name)}" for name in PACKAGES)),
    ]
    return _table(("", ""), rows)
