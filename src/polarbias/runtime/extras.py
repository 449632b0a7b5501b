"""Optional dependencies."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from polarbias.errors import MissingExtra

_MODULES = {
    "explore": ("panel", "bokeh", "pandas", "matplotlib"),
    "paper": ("jax", "pandas", "pyarrow", "matplotlib", "rich"),
}
_PROJECTS = {"jax": "JAX", "sklearn": "scikit-learn", "distributed": "Dask", "panel": "Panel"}


def require(module: str, extra: str, purpose: str = "this") -> Any:
    """Return an imported module, or raise `MissingExtra`: "``purpose`` needs ...", with the extra that installs it."""
    try:
        return import_module(module)
    except ModuleNotFoundError as missing:
        top = module.partition(".")[0]
        if (missing.name or "").partition(".")[0] != top:
            raise  # the module is there; one of its own dependencies is not
        project = _PROJECTS.get(top, top)
        raise MissingExtra(f"{purpose} needs {project}: pip install 'polarbias[{extra}]'") from missing


def require_extra(extra: str, purpose: str) -> None:
    """Import the modules of an extra, or raise `MissingExtra` as `require` does."""
    for module in _MODULES[extra]:
        require(module, extra, purpose)
