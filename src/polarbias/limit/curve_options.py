"""Constants of `polarbias.limit.limit_curve`, with the measurements behind them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Options:
    """Constants of the path following.

    Measured on 162 limits: M = 20 and 30, depths 2 to 4, ratios 1e-3 to 10, r0 from 1e-2 to 10, both signs. They take
    5,110 factorizations; 5 limits are inaccurate.
    """

    rough: float = 1e-6
    """Entries below this fraction of the largest are left out of Hessians while the curve is followed; a factor of 30
    changes the number of factorizations by 0.2%, and each is cheaper by the entries left out."""

    overshoot: float = 0.02
    """Factor by which mu on the linear program's path is below the matching point, so that its support is clear; 6e-4
    and 0.6 give 5,183 and 4,858 factorizations."""

    log_negligible: float = -33.0
    """Logarithm of the share of an entry in the sum of X^(2/L) below which it changes neither radius nor other entries
    by more than rounding, e^-36; -53 gives 7,158 factorizations and 9 inaccurate limits."""

    ridge: float = 1e-9
    """Above depth 2, share of the largest entry of X below which an entry does not affect Newton's direction; 3e-11 and
    3e-8 give 5,539 and 5,048 factorizations, 7 and 3 inaccurate limits."""

    face_log_epsilon: float = -9.0
    """Logarithm of q / w on the support below which `OptimalFace` takes over: there q keeps 12 digits."""

    residual_tol: float = 1e-13
    """Relative residual at which Newton's iteration ends; 3e-15 gives 5,447 factorizations."""

    max_steps: int = 400
    """Newton steps along the curve; only inaccurate limits take more than 133."""

    max_updates: int = 50
    """Secant updates of tau by the radius next to the face, where the radius hardly changes; 2 to 5 are typical."""


OPTIONS = Options()
