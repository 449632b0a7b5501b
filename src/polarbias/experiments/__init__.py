"""The paper's experiments: what they compute, how they are stored and drawn, and what they say of its statements."""

from polarbias.experiments.archive import pack
from polarbias.experiments.grid import read_grid
from polarbias.experiments.reproduction import FIGURES, Outcome, redraw, report, reproduce
from polarbias.experiments.spec import PAPER, PROFILES, QUICK, Profile, adjusted
from polarbias.experiments.sweep import sweep

__all__ = [
    "FIGURES",
    "PAPER",
    "PROFILES",
    "QUICK",
    "Outcome",
    "Profile",
    "adjusted",
    "pack",
    "read_grid",
    "redraw",
    "report",
    "reproduce",
    "sweep",
]
