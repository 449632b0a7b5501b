"""The explorer: a page of sliders with exact limits, trajectories, maps and bounds (``polarbias explore``)."""
