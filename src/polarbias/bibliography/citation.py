"""References for results, functions and folders, from the entries of ``references.bib``."""

from __future__ import annotations

import os
import re
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal
from unicodedata import normalize

from polarbias import __version__
from polarbias.errors import InvalidInput, StoreMismatch

_PACKAGES = {
    "polarbias": "polarbias",
    "bradbury2018jax": "jax",
    "harris2020array": "numpy",
    "virtanen2020scipy": "scipy",
    "pedregosa2011scikit": "scikit-learn",
    "rocklin2015dask": "distributed",
}
"""Distributions whose versions entries state."""

_GENERAL = ("polarbias", "chou2023robust")
_JAX = ("bradbury2018jax",)
_ARRAYS = ("harris2020array", "virtanen2020scipy")
_ARMIJO, _LSODA, _LEARN = ("armijo1966minimization",), ("petzold1983automatic",), ("pedregosa2011scikit",)
_LIMIT = (*_ARRAYS, "mehrotra1992implementation")
_FLOW = (*_ARRAYS, *_LSODA)
_MIRROR = (*_ARRAYS, "beck2003mirror")
_INTERIOR = ("chen1998atomic", "mehrotra1992implementation", "gondzio1996multiple", "winternitz2012constraint")
_PROXIMAL = ("rockafellar1976monotone", "friedlander2007exact", "li2018highly")
_PURSUIT = (*_ARRAYS, *_INTERIOR, *_PROXIMAL, "donoho2012sparse", "fuchs2004sparse")

_KEYS = {
    "gradient_descent": (*_JAX, *_ARMIJO),
    "Armijo": (*_JAX, *_ARMIJO),
    "gradient_flow": _FLOW,
    "FlowTrajectory": _FLOW,
    "flow_limit": (*_LIMIT, *_LSODA),
    "limit_sensitivity": _ARRAYS,
    "Sensitivity": _ARRAYS,
    "mirror_descent": _MIRROR,
    "basis_pursuit": _PURSUIT,
    "Pursuit": _PURSUIT,
    "minimal_l1": (*_ARRAYS, "huangfu2018parallelizing"),
    "minimal_l2": _ARRAYS,
    "BasisPursuit": (*_LEARN, *_PURSUIT),
    "BasisPursuitDenoise": (*_LEARN, *_PURSUIT),
    "DiagonalLinearRegressor": (*_LEARN, *_JAX, *_ARMIJO, *_LIMIT, *_LSODA),
    "DaskBackend": ("rocklin2015dask",),
}
"""Keys of functions and classes: everything that they can use for the paper's networks with their defaults."""

_STEP_RULES = {"limit": _LIMIT, "mirror": _MIRROR, "armijo": (*_JAX, *_ARMIJO)}
"""Keys of the step rules in stored tables; all others are constant steps of descent."""


def citation(*used: Any, style: Literal["bibtex", "text"] = "bibtex") -> str:
    """Return references for polarbias, the paper, and the methods and libraries used.

    Parameters
    ----------
    used
        Results (`Solution`, `Pursuit`, `Minimum`, `Sensitivity`), fitted estimators, functions or classes of
        polarbias, or paths of results folders or archives. For a solution of descent, the line search is cited if it
        shortened a step.
    style
        ``bibtex``, or ``text`` for one line per entry.

    Returns
    -------
    str
        The entries in a fixed order, with the installed versions, and for a folder those that its tables record.

    Raises
    ------
    InvalidInput
        An object without known references, a missing folder, or another style.
    StoreMismatch
        A folder without results, or with damaged ones.

    Examples
    --------
    >>> import polarbias as pb
    >>> print(pb.citation(pb.minimal_l2, style="text"))
    the polarbias developers. polarbias. Version ...
    Hung-Hsu Chou, Holger Rauhut, Rachel Ward (2023). Robust Implicit Regularization via Weight Normalization. ...
    Charles R. Harris et al. (2020). Array programming with NumPy. Nature 585, 357-362. Version ...
    Pauli Virtanen et al. (2020). SciPy 1.0: Fundamental Algorithms for Scientific Computing in Python. ...
    """
    if style not in ("bibtex", "text"):
        raise InvalidInput(f"style must be bibtex or text, got {style!r}.")
    folders = [Path(value) for value in used if isinstance(value, str | os.PathLike)]
    keys = {key for value in used if not isinstance(value, str | os.PathLike) for key in _keys_of(value)}
    if keys or not folders:
        keys.update(_GENERAL)
    versions = {(_PACKAGES[key], _installed(_PACKAGES[key])) for key in keys & _PACKAGES.keys()}
    for folder in folders:
        found, recorded = _read_folder(folder)
        keys.update(_GENERAL, found)
        versions |= recorded
    text = files("polarbias.bibliography").joinpath("references.bib").read_text(encoding="ascii")
    entries = []
    for entry in text.strip().split("\n\n"):
        key = entry[entry.index("{") + 1 : entry.index(",")]
        if key in keys:
            stated = sorted(number for package, number in versions if number and package == _PACKAGES.get(key))
            note = f"  note = {{Version{'s' * (len(stated) > 1)} {', '.join(stated)}}},\n}}"
            entries.append(entry[:-1] + note if stated else entry)
    return "\n".join(map(_as_text, entries)) if style == "text" else "\n\n".join(entries)


def _installed(package: str) -> str:
    try:
        return __version__ if package == "polarbias" else version(package)
    except PackageNotFoundError:
        return ""


def _as_text(entry: str) -> str:
    """Return a BibTeX entry as a line of Unicode text; of more than six authors it names the first."""
    accents = {"'": "\u0301", "^": "\u0302", ".": "\u0307"}
    plain = re.sub(r"\{\\(['^.])(\w)\}", lambda match: normalize("NFC", match[2] + accents[match[1]]), entry)
    fields = {name: re.sub("[{}]", "", value) for name, value in re.findall(r"^  (\w+) = \{(.*)\},$", plain, re.M)}

    def after(text: str, name: str, end: str = "") -> str:
        """Return a field that the entry may lack, after a text."""
        return f"{text}{fields[name]}{end}" if name in fields else ""

    names = [" ".join(name.split(", ")[::-1]) for name in fields["author"].split(" and ")]
    authors = ", ".join(names) if len(names) <= 6 else f"{names[0]} et al."
    place = after("", "journal") or after("", "booktitle") or after("arXiv:", "eprint")
    place += after(" ", "volume") + after(", ", "pages").replace("--", "-")
    parts = [authors + after(" (", "year", ")"), fields["title"], place, after("", "note")]
    link = after("https://doi.org/", "doi") or after("", "url")
    return " ".join([*(f"{part}." for part in parts if part), link]).strip()


def _keys_of(value: Any) -> tuple[str, ...]:
    """Return the keys for a result, a function or a class; names are compared, because classes may load extras."""
    owners = getattr(value, "__mro__", None) or ((value,) if hasattr(value, "__name__") else type(value).__mro__)
    owner = next((one for one in owners if str(getattr(one, "__module__", "")).startswith("polarbias.")), None)
    name = getattr(owner, "__name__", "")
    is_result = owner is not value
    if name == "Solution" and is_result:
        return _keys_of_solution(value)
    if name == "FlowTrajectory" and is_result:
        output = value.outputs.ravel()[0]
        return _keys_of_flow(output.evaluate(output.time[0]))
    if name == "Minimum" and is_result:
        return _ARRAYS if _is_l2(value) else _KEYS["minimal_l1"]
    if name == "DiagonalLinearRegressor" and is_result:
        return (*_LEARN, *_KEYS["flow_limit" if value.method == "limit" else "gradient_descent"])
    if name in _KEYS:
        return _KEYS[name]
    raise InvalidInput(
        f"there are no references for {getattr(value, '__name__', type(value).__name__)}; give a Solution or Minimum,"
        f" the path of a results folder, or one of: {', '.join(_KEYS)}."
    )


def _keys_of_solution(solution: Any) -> tuple[str, ...]:
    """Return the keys of the parts of a method that a solution used, by the fields that only these parts set."""
    from polarbias.solution import CollapseStatus

    if solution.method == "flow_limit":
        return _KEYS["flow_limit"] if (solution.collapse_status >= CollapseStatus.INTEGRATED).any() else _LIMIT
    if solution.method == "gradient_descent":
        # The last trial of a run that ends as unstable is rejected with a constant step as well.
        return (*_JAX, *_ARMIJO) if (solution.stats["trials"] > solution.steps + 1).any() else _JAX
    if solution.method == "gradient_flow":
        return _keys_of_flow(solution)
    if solution.method in _KEYS:
        return _KEYS[solution.method]
    raise InvalidInput("this Solution has no method; give the function that returned it, such as gradient_flow.")


def _keys_of_flow(state: Any) -> tuple[str, ...]:
    """Return the keys of a flow; only that of the network's own parameters has no mirror variable, and uses JAX."""
    return _FLOW if state.mirror_dual is not None else (*_JAX, *_FLOW)


def _is_l2(minimum: Any) -> bool:
    """Return True if the value is the l2 norm and not the l1 norm as well."""
    import numpy as np

    l1, l2 = np.abs(minimum.x).sum(-1), np.linalg.norm(minimum.x, axis=-1)
    return bool(np.allclose(minimum.value, l2, rtol=1e-9, atol=0) and not np.allclose(l1, l2, rtol=1e-9, atol=0))


def _read_folder(folder: Path) -> tuple[set[str], set[tuple[str, str]]]:
    """Return the keys for the tables of a folder, and the packages and versions that they record."""
    if not folder.is_dir():
        raise InvalidInput(f"there is no folder {str(folder)!r}; give that of a reproduction, a sweep or a run.")
    import pandas as pd

    from polarbias.experiments.engine.archive import table_files
    from polarbias.experiments.engine.store import UNREADABLE, read_metadata, read_spec

    read_spec(folder)
    rules: set[str] = set()
    recorded: set[tuple[str, str]] = set()
    for path in table_files(folder):
        try:
            metadata = read_metadata(path)
            rules.update(pd.read_parquet(path).get("step_rule", ()))  # an archive's empty table has no such column
            for maker in metadata.get("made_by", [metadata]):
                recorded.update(maker.get("versions", {}).items())
        except UNREADABLE as reason:
            raise StoreMismatch(f"{path} is damaged: {reason}") from reason
    if not rules:
        raise StoreMismatch(f"{folder} holds no finished task yet.")
    keys = {key for rule in rules for key in _STEP_RULES.get(rule, _JAX)}
    keys.update(_KEYS["minimal_l1"])  # the reference of every stored error
    if any(package == "distributed" for package, _ in recorded):
        keys.update(_KEYS["DaskBackend"])
    return keys, recorded
