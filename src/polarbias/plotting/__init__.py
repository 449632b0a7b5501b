"""Panels drawn with matplotlib from tables, and the styles of all series."""

from polarbias.runtime.extras import require

for _module in ("matplotlib", "pandas"):
    require(_module, "paper", "polarbias.plotting")
