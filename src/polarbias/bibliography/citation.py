"""References for results, functions and folders, from the entries of ``references.bib``."""

from __future__ import annotations

import os
import re
from collections import defaultdict
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
_MIRROR = (*_ARRAYS, "beck2003mirror")
_NOISY = (
    *_ARRAYS, "chen1998atomic",
    "mehrotra1992implementation", "gondzio1996multiple", "winternitz2012constraint",
    "rockafellar1976monotone", "friedlander2007exact", "li2018highly",
)  # fmt: skip
_PURSUIT = (*_NOISY, "donoho2012sparse", "fuchs2004sparse")  # the greedy start, used without noise only

_KEYS = {
    "gradient_descent": (*_JAX, *_ARMIJO),
    "Armijo": (*_JAX, *_ARMIJO),
    "gradient_flow": (*_JAX, *_ARRAYS, *_LSODA),
    "FlowTrajectory": (*_JAX, *_ARRAYS, *_LSODA),
    "flow_limit": (*_LIMIT, *_LSODA),
    "limit_sensitivity": (_JAX[0], *_ARRAYS),
    "Sensitivity": (_JAX[0], *_ARRAYS),
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
"""Keys of functions and classes: everything that they can use with their defaults."""

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
        The entries, each once, in a fixed order and under fixed keys. They state the installed versions, and for a
        folder those that its tables record.

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
    versions: dict[str, set[str]] = defaultdict(set)
    for package in {_PACKAGES[key] for key in keys & _PACKAGES.keys()}:
        versions[package] |= _installed(package)
    for folder in folders:
        found, recorded = _read_folder(folder)
        keys.update(_GENERAL, found)
        for package, number in recorded:
            versions[package].add(number)
    text = files("polarbias.bibliography").joinpath("references.bib").read_text(encoding="ascii")
    entries = [
        _with_versions(entry, versions[_PACKAGES.get(key, "")])
        for entry in text.strip().split("\n\n")
        if (key := entry[entry.index("{") + 1 : entry.index(",")]) in keys
    ]
    return "\n".join(map(_as_text, entries)) if style == "text" else "\n\n".join(entries)


def _installed(package: str) -> set[str]:
    try:
        return {__version__ if package == "polarbias" else version(package)}
    except PackageNotFoundError:
        return set()


def _with_versions(entry: str, versions: set[str]) -> str:
    """Return a BibTeX entry with the versions in its note."""
    if not versions:
        return entry
    return f"{entry[:-1]}  note = {{Version{'s' * (len(versions) > 1)} {', '.join(sorted(versions))}}},\n}}"


def _as_text(entry: str) -> str:
    """Return a BibTeX entry as a line of Unicode text; of more than six authors it names the first."""
    accents = {"'": "\u0301", "^": "\u0302", ".": "\u0307"}
    plain = re.sub(r"\{\\(['^.])(\w)\}", lambda match: normalize("NFC", match[2] + accents[match[1]]), entry)
    fields = {name: re.sub("[{}]", "", value) for name, value in re.findall(r"^  (\w+) = \{(.*)\},$", plain, re.M)}
    get = fields.get
    names = [" ".join(name.split(", ")[::-1]) for name in fields["author"].split(" and ")]
    authors = ", ".join(names) if len(names) <= 6 else f"{names[0]} et al."
    place = get("journal") or get("booktitle") or (f"arXiv:{fields['eprint']}" if "eprint" in fields else "")
    place += (f" {get('volume')}" if get("volume") else "") + (f", {get('pages')}" if get("pages") else "")
    link = f"https://doi.org/{get('doi')}" if get("doi") else get("url", "")
    year = f" ({get('year')})" if get("year") else ""
    parts = [f"{authors}{year}", fields["title"], place.replace("--", "-"), get("note", "")]
    return " ".join([*(f"{part}." for part in parts if part), link]).strip()


def _keys_of(value: Any) -> tuple[str, ...]:
    """Return the keys for a result, a function or a class; names are compared, because classes may load extras."""
    owners = getattr(value, "__mro__", None) or ((value,) if hasattr(value, "__name__") else type(value).__mro__)
    owner = next((one for one in owners if str(getattr(one, "__module__", "")).startswith("polarbias.")), None)
    name = getattr(owner, "__name__", "")
    if name == "Solution" and owner is not value:
        return _keys_of_solution(value)
    if name == "Minimum" and owner is not value:
        return _KEYS["minimal_l2" if _is_l2(value) else "minimal_l1"]
    if name == "DiagonalLinearRegressor" and owner is not value:
        return (*_LEARN, *_KEYS["flow_limit" if value.method == "limit" else "gradient_descent"])
    if name in _KEYS:
        return _KEYS[name]
    raise InvalidInput(
        f"there are no references for {getattr(value, '__name__', type(value).__name__)}; give a Solution or Minimum,"
        f" the path of a results folder, or one of: {', '.join(_KEYS)}."
    )


def _keys_of_solution(solution: Any) -> tuple[str, ...]:
    """Return the keys of the parts of a method that a solution used, by the fields that only these parts set."""
    import numpy as np

    from polarbias.solution import CollapseStatus

    if solution.method == "flow_limit":
        return _KEYS["flow_limit"] if np.any(solution.collapse_status >= CollapseStatus.INTEGRATED) else _LIMIT
    if solution.method == "gradient_descent":
        # The last trial of a run that ends as unstable is rejected with a constant step as well.
        return (*_JAX, *_ARMIJO) if np.any(solution.stats["trials"] > solution.steps + 1) else _JAX
    if solution.method == "gradient_flow" and solution.mirror_dual is not None:
        return (*_ARRAYS, *_LSODA)  # the dual flow needs no derivatives of the network
    if solution.method in _KEYS:
        return _KEYS[solution.method]
    raise InvalidInput("this Solution has no method; give the function that returned it, such as gradient_flow.")


def _is_l2(minimum: Any) -> bool:
    """Return True if the value is the l2 norm and not the l1 norm as well."""
    import numpy as np

    l1, l2 = np.abs(minimum.x).sum(-1), np.linalg.norm(minimum.x, axis=-1)
    return bool(np.allclose(minimum.value, l2, rtol=1e-9, atol=0) and not np.allclose(l1, l2, rtol=1e-9, atol=0))


def _read_folder(folder: Path) -> tuple[set[str], list[tuple[str, str]]]:
    """Return the keys for the tables of a folder, and the packages and versions that they record."""
    if not folder.is_dir():
        raise InvalidInput(f"there is no folder {str(folder)!r}; give that of a reproduction, a sweep or a run.")
    import pandas as pd
    import pyarrow as pa

    from polarbias.experiments.engine.archive import is_archive
    from polarbias.experiments.engine.store import read_metadata, read_spec

    read_spec(folder)
    pattern = "{}.parquet" if is_archive(folder) else "{}/*.parquet"
    rules: set[str] = set()
    recorded: list[tuple[str, str]] = []
    for path in sorted(path for name in ("runs", "limits") for path in folder.glob(pattern.format(name))):
        try:
            metadata = read_metadata(path)
            rules.update(pd.read_parquet(path).get("step_rule", ()))  # an archive's empty table has no such column
            for maker in metadata.get("made_by", [metadata]):
                recorded.extend(maker.get("versions", {}).items())
        # Readers raise different errors for different damage.
        except (OSError, AttributeError, KeyError, TypeError, ValueError, MemoryError, pa.ArrowException) as reason:
            raise StoreMismatch(f"{path} is damaged: {reason}") from reason
    if not rules:
        raise StoreMismatch(f"{folder} holds no finished task yet.")
    keys = {key for rule in rules for key in _STEP_RULES.get(rule, _JAX)}
    keys.update(_KEYS["minimal_l1"])  # the reference of every stored error
    if any(package == "distributed" for package, _ in recorded):
        keys.update(_KEYS["DaskBackend"])
    return keys, recorded
