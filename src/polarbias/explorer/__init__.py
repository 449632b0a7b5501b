"""The explorer: a page of sliders with exact limits, trajectories, maps and bounds (``polarbias explore``)."""

from polarbias.runtime.extras import require_extra

require_extra("explore", "polarbias.explorer")
