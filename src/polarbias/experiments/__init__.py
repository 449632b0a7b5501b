"""The paper's experiments: what they compute, how they are stored and drawn, and what they say of its statements."""

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
