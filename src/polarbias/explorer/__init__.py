"""The explorer: exact limits, courses, maps and bounds that follow a slider, in a browser (``polarbias explore``)."""
