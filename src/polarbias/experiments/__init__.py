"""Experiments: the paper's figures and statements, sweeps and single runs, computed, stored and drawn."""

from polarbias.runtime.extras import require

for _extra, _modules in {"descent": ("jax",), "paper": ("pandas", "pyarrow", "matplotlib", "rich")}.items():
    for _module in _modules:
        require(_module, _extra, "polarbias.experiments")

# ruff: noqa: E402 -- the imports below need these modules
from polarbias.experiments.engine.archive import pack
from polarbias.experiments.engine.spec import PAPER, PROFILES, QUICK, Profile, adjusted
from polarbias.experiments.grids.grid import read_grid
from polarbias.experiments.grids.sweep import sweep
from polarbias.experiments.paper.reproduction import FIGURES, Reproduction, redraw, report, reproduce

__all__ = [
    "FIGURES",
    "PAPER",
    "PROFILES",
    "QUICK",
    "Profile",
    "Reproduction",
    "adjusted",
    "pack",
    "read_grid",
    "redraw",
    "report",
    "reproduce",
    "sweep",
]
