"""Constants of the explorer, with their reasons."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Options:
    """Constants of the explorer."""

    decades: tuple[float, float] = (-2.0, 2.0)
    """Powers of ten between which r0 and the ratio vary, those of r0 in the paper."""

    points: int = 17
    """Values of r0 and of the ratio on the map, four per decade: 289 limits take 4 s at 150 x 1000."""

    slider_step: float = 0.02
    """Step of the sliders of r0 and the ratio in powers of ten: 200 steps of 5%, about one per pixel."""

    max_entries: int = 500_000
    """Entries of A; the limits of larger matrices do not follow a moving slider."""

    min_start: float = 1e-6
    """Smallest entry of the start in two or three dimensions, relative to the largest; the message names it."""

    threshold: float = 1e-6
    """Fraction of the largest entry above which the entries of a signal are counted, as in `polarbias limit`."""

    visible: float = 2e-3
    """Fraction of the largest entry that is a third of a pixel; smaller entries are not sent, as a thousand points slow
    the browser down."""

    margin: float = 1.25
    """Half the width of the figure in two or three dimensions, in units of the largest coordinate."""

    delay: int = 12
    """Milliseconds during which movements of a slider are collected into one update, less than a frame of 60 Hz."""

    max_seconds: float = 30.0
    """Time limit of the flows of a view; at the defaults both take 1.3 s."""

    cached: int = 32
    """Results of each kind in memory; the largest, problems of `max_entries`, have 4 MB each."""


OPTIONS = Options()
