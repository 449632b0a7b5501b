"""Experiments: the paper's figures and statements, sweeps and single runs, computed, stored and drawn."""

from polarbias.runtime.extras import require_extra

require_extra("paper", "polarbias.experiments")

# ruff: noqa: E402 -- the imports below need these modules
from polarbias.experiments.engine.archive import pack as pack
from polarbias.experiments.engine.spec import PAPER as PAPER
from polarbias.experiments.engine.spec import PROFILES as PROFILES
from polarbias.experiments.engine.spec import QUICK as QUICK
from polarbias.experiments.engine.spec import Profile as Profile
from polarbias.experiments.engine.spec import adjusted as adjusted
from polarbias.experiments.grids.grid import read_grid as read_grid
from polarbias.experiments.grids.sweep import sweep as sweep
from polarbias.experiments.paper.reproduction import FIGURES as FIGURES
from polarbias.experiments.paper.reproduction import Reproduction as Reproduction
from polarbias.experiments.paper.reproduction import redraw as redraw
from polarbias.experiments.paper.reproduction import report as report
from polarbias.experiments.paper.reproduction import reproduce as reproduce
