r"""Independent oracles: minimal l1 and l2 solutions of :math:`A z = b`, each with a certificate.

.. math:: Q = \min \Big\{ \sum_n w_n |z_n| : A z = b,\; z \ge 0 \Big\}
            = \max \{ b^\top y : A^\top y \le w \}.

The tests compare all solvers with these values, so they come from other codes: a linear program by HiGHS, and a QR
decomposition. HiGHS works to absolute tolerances; its vertex and its dual are refined in extended precision until the
relative gap between :math:`\sum w_n |z_n|` and :math:`b^\top y` is at rounding level. `check_l1` and `check_l2` compute
all optimality conditions from the data alone.

>>> import polarbias as pb
>>> best = pb.minimal_l1(pb.LinearProblem([[1.0, 2.0]], [1.0]))
>>> best.x, float(best.value), best.dual
(array([0. , 0.5]), 0.5, array([0.5]))
"""

from polarbias.problems.reference.l1 import minimal_l1
from polarbias.problems.reference.l2 import minimal_l2
from polarbias.problems.reference.minimum import Check, Minimum, check_l1, check_l2

__all__ = ["Check", "Minimum", "check_l1", "check_l2", "minimal_l1", "minimal_l2"]
