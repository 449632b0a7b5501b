"""Which works stand behind a result, a function or a folder of results."""

from __future__ import annotations

import os
from collections import defaultdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

from polarbias import __version__
from polarbias.bibliography.works import WORKS
from polarbias.errors import InvalidInput, StoreMismatch

# Keys of what belongs together.
_GENERAL = ("polarbias", "chou2023robust")
_JAX = ("bradbury2018jax", "kidger2021equinox")
_ARRAYS = ("harris2020array", "virtanen2020scipy")
_ARMIJO, _LSODA, _HIGHS = ("armijo1966minimization",), ("petzold1983automatic",), ("huangfu2018parallelizing",)
_LIMIT = (*_ARRAYS, "mehrotra1992implementation")
_MIRROR = (*_ARRAYS, "beck2003mirror")
_BARRIER = ("mehrotra1992implementation", "gondzio1996multiple", "winternitz2012constraint")
_PROXIMAL = ("rockafellar1976monotone", "friedlander2007exact", "li2018highly")
_NOISY = (*_ARRAYS, "chen1998atomic", *_BARRIER, *_PROXIMAL)
_PURSUIT = (*_NOISY, "donoho2012sparse", "fuchs2004sparse")  # the greedy guess, which is made without noise only
_LEARN = ("pedregosa2011scikit",)

# Of a function or a class: all that it may use, with its defaults.
_ROADS = {
    "gradient_descent": (*_JAX, *_ARMIJO),
    "Armijo": (*_JAX, *_ARMIJO),
    "gradient_flow": (*_JAX, *_ARRAYS, *_LSODA),
    "FlowTrajectory": (*_JAX, *_ARRAYS, *_LSODA),
    "flow_limit": (*_LIMIT, *_LSODA),
    "limit_sensitivity": (_JAX[0], *_ARRAYS),
    "Sensitivity": (_JAX[0], *_ARRAYS),
    "mirror_descent": _MIRROR,
    "basis_pursuit": _PURSUIT,
    "basis_pursuit_denoise": _NOISY,
    "Pursuit": _PURSUIT,
    "minimal_l1": (*_ARRAYS, *_HIGHS),
    "minimal_l2": _ARRAYS,
    "BasisPursuit": (*_LEARN, *_PURSUIT),
    "BasisPursuitDenoise": (*_LEARN, *_PURSUIT),
    "DiagonalLinearRegressor": (*_LEARN, *_JAX, *_ARMIJO, *_LIMIT, *_LSODA),
    "DaskBackend": ("rocklin2015dask",),
}


def citation(*used: Any, style: Literal["bibtex", "text"] = "bibtex") -> str:
    """Return what to cite: polarbias and the paper, and the methods and libraries behind what was used.

    Parameters
    ----------
    used
        What polarbias returned (`Solution`, `Pursuit`, `Minimum`, `Sensitivity`), a fitted estimator, the functions or
        classes that were called, or the path of a results folder or archive. A solution tells by its fields which
        road it comes from, and by its trials whether a line search shortened a step.
    style
        ``bibtex``, or ``text`` for people, with an entry per line.

    Returns
    -------
    str
        The entries, each once, in a fixed order and under fixed keys, with the versions installed here; of a folder,
        with those that its tables were computed with.

    Raises
    ------
    InvalidInput
        Something of which it is not known what it uses, no folder, or another style.
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
    keys = {key for value in used if not isinstance(value, str | os.PathLike) for key in _used_by(value)}
    if keys or not folders:
        keys.update(_GENERAL)
    versions: dict[str, set[str]] = defaultdict(set)
    for key in keys:
        versions[WORKS[key].package] |= _installed(WORKS[key].package)
    for folder in folders:
        found, recorded = _used_in(folder)
        keys.update(_GENERAL, found)
        for package, number in recorded:
            versions[package].add(number)
    entries = {key: (work, _note(versions[work.package])) for key, work in WORKS.items() if key in keys}
    if style == "text":
        return "\n".join(work.text(note) for work, note in entries.values())
    return "\n\n".join(work.bibtex(key, note) for key, (work, note) in entries.items())


def _installed(package: str) -> set[str]:
    try:
        return {__version__ if package == "polarbias" else version(package)} if package else set()
    except PackageNotFoundError:  # scikit-learn and Dask are optional
        return set()


def _note(versions: set[str]) -> str:
    return f"Version{'s' * (len(versions) > 1)} {', '.join(sorted(versions))}" if versions else ""


def _used_by(value: Any) -> tuple[str, ...]:
    """Return the keys of what is behind a result, a function or a class of this library."""
    from polarbias.problems.reference.minimum import Minimum
    from polarbias.solution import Solution

    if isinstance(value, Solution):
        return _behind_solution(value)
    if isinstance(value, Minimum):
        return _ROADS["minimal_l2" if _is_l2(value) else "minimal_l1"]
    # By name, because the classes themselves would load JAX, scikit-learn or Dask.
    named = value if hasattr(value, "__name__") else type(value)
    for owner in getattr(named, "__mro__", (named,)):
        if str(getattr(owner, "__module__", "")).startswith("polarbias.") and owner.__name__ in _ROADS:
            if owner.__name__ == "DiagonalLinearRegressor" and named is not value:
                return (*_LEARN, *_ROADS["flow_limit" if value.method == "limit" else "gradient_descent"])
            return _ROADS[owner.__name__]
    raise InvalidInput(
        f"what to cite for {named.__name__} is not known; give a Solution or Minimum, the path of a results folder, or"
        f" one of: {', '.join(_ROADS)}."
    )


def _behind_solution(found: Any) -> tuple[str, ...]:
    """Tell the roads apart by the fields that only they fill in."""
    import numpy as np

    from polarbias.solution import CollapseStatus

    if found.collapse_status is not None:
        return (*_LIMIT, *_LSODA) if np.any(found.collapse_status >= CollapseStatus.INTEGRATED) else _LIMIT
    if "trials" in found.stats and found.mirror_dual is not None:
        return _MIRROR
    if "trials" in found.stats:
        # A constant step has one rejected trial at most: the one that ends the run as unstable.
        return (*_JAX, *_ARMIJO) if np.any(found.stats["trials"] > found.steps + 1) else _JAX
    if found.r is not None:
        # Only the equations of the mirror variable get along without the network's gradients.
        return (*_ARRAYS, *_LSODA) if found.mirror_dual is not None else _ROADS["gradient_flow"]
    raise InvalidInput("this Solution does not tell what made it; give the function that did, such as gradient_flow.")


def _is_l2(best: Any) -> bool:
    """Tell whether the value is the l2 norm; where both norms are the same, as with one entry, it counts as l1."""
    import numpy as np

    l1, l2 = np.abs(best.x).sum(-1), np.linalg.norm(best.x, axis=-1)
    return bool(np.allclose(best.value, l2, rtol=1e-9, atol=0) and not np.allclose(l1, l2, rtol=1e-9, atol=0))


def _used_in(folder: Path) -> tuple[set[str], list[tuple[str, str]]]:
    """Return the keys of what a folder's tables were computed with, and the versions that they record."""
    if not folder.is_dir():
        raise InvalidInput(f"there is no folder {str(folder)!r}; give that of a reproduction, a sweep or a run.")
    import pandas as pd

    from polarbias.experiments.engine.archive import is_archive
    from polarbias.experiments.engine.spec import LIMIT
    from polarbias.experiments.engine.store import UNREADABLE, read_metadata, read_spec

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
        except UNREADABLE as reason:
            raise StoreMismatch(f"{path} is damaged: {reason}") from reason
    if not rules:
        raise StoreMismatch(f"{folder} holds no finished task yet.")
    by_rule = {LIMIT: _LIMIT, "mirror": _MIRROR, "armijo": (*_JAX, *_ARMIJO)}
    keys = {key for rule in rules for key in by_rule.get(rule, _JAX)}
    keys.update(_ROADS["minimal_l1"])  # what every end is compared with
    if any(package == "distributed" for package, _ in recorded):
        keys.update(_ROADS["DaskBackend"])
    return keys, recorded
