r"""Independent oracles: minimal l1 and l2 solutions of :math:`A z = b`, each with a certificate.

.. math:: Q = \min \Big\{ \sum_n w_n |z_n| : A z = b,\; z \ge 0 \Big\}
            = \max \{ b^\top y : A^\top y \le w \}.

The tests compare all solvers with these values, so they come from other codes: a linear program by HiGHS, and a QR
decomposition. HiGHS works to absolute tolerances; its vertex and its dual are refined in extended precision until the
relative gap between :math:`\sum w_n |z_n|` and :math:`b^\top y` is at rounding level. All optimality conditions are
computed from the data alone before a minimum is returned.

>>> import polarbias as pb
>>> best = pb.minimal_l1(pb.LinearProblem([[1.0, 2.0]], [1.0]))
>>> best.x, float(best.value), best.dual
(array([0. , 0.5]), 0.5, array([0.5]))
"""

from polarbias.problems.reference.l1 import minimal_l1
from polarbias.problems.reference.l2 import minimal_l2
from polarbias.problems.reference.minimum import Minimum

__all__ = ["Minimum", "minimal_l1", "minimal_l2"]
