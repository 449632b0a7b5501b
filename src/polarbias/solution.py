"""Result types of all methods: status, trajectory and solution."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Self

import numpy as np

from polarbias.runtime.batch_axes import selector
from polarbias.runtime.pytree import tree_map


class Outcome(IntEnum):
    """Integers with a ``message``."""

    message: str

    def __new__(cls, value: int, message: str = "") -> Self:
        """Create an integer with a message."""
        member = int.__new__(cls, value)
        member._value_ = value
        member.message = message
        return member


class Status(Outcome):
    """Status at the end of a run, with a ``message``.

    >>> Status.CONVERGED.message
    'the stopping criterion is met'
    """

    CONVERGED = 0, "the stopping criterion is met"
    MAX_STEPS = 1, "all steps are used; the stopping criterion is not met: raise max_steps or tol"
    DIVERGED = 2, "the loss is no longer finite: take a smaller step"
    UNSTABLE = 3, "the loss rose, or r or an entry of u reached zero: take a smaller step"
    LINE_SEARCH_FAILED = (
        4,
        "no step along the gradient decreases the loss measurably: it is at its rounding level, or theta is close to"
        " a stationary point such as X = 0",
    )
    COLLAPSED = 5, "r fell below its floor: the run converges to X = 0, not to a solution of A X = b"
    INTERRUPTED = 6, "interrupted; this is the state so far"
    UNDECIDED = 7, "x solves A X = b and is the limit of the flow unless it collapses to X = 0, which is undecided"
    INACCURATE = 8, "the requested accuracy is not reached; see residual and loss"
    INFEASIBLE = 9, "no signal of the network's kind solves A X = b; the vector farkas proves it"


class CollapseStatus(Outcome):
    """Proof or evidence for or against collapse (r tends to 0) of a flow.

    >>> CollapseStatus.LAW.safe, CollapseStatus.COLLAPSES.safe
    (True, False)
    """

    LAW = 0, "safe: the ratio law has E(0) = -inf, so r cannot reach 0"
    LOSS = 1, "safe: the loss at the start is below the loss of X = 0"
    KERNEL = 2, "safe: r keeps above a bound from the nonnegative kernel of A"
    INTEGRATED = 3, "safe: along the integrated flow the loss falls below the loss of X = 0"
    COLLAPSES = 4, "collapse: the integrated flow reaches r = 0"
    UNDECIDED = 5, "not decided: the integration ended before the loss fell below that of X = 0"

    @property
    def safe(self) -> bool:
        """True if the flow provably (INTEGRATED: to the integrator's accuracy) does not converge to X = 0."""
        return self <= CollapseStatus.INTEGRATED


@dataclass(frozen=True, eq=False)
class Trajectory:
    """Thinned record of a run: at most about a thousand log-spaced steps of each run.

    Runs end at different steps, so a batch is padded: ``step`` with -1 and the others with NaN. Indexing down to one
    run removes the padding.

    Attributes
    ----------
    step, loss, r, l1
        Accepted steps so far, loss ``||A X - b||^2 / (2 L)``, norm of the factor (NaN for a network without one) and
        ``||X||_1``, shape ``(..., K)`` with K records.
    x
        The signal, shape ``(..., K, N)``, if requested.
    """

    step: np.ndarray
    loss: np.ndarray
    r: np.ndarray
    l1: np.ndarray
    x: np.ndarray | None = None

    def __len__(self) -> int:
        """Return the number of records on the last axis, padding included."""
        return int(self.step.shape[-1])

    def __getitem__(self, index: Any) -> Trajectory:
        """Return the runs selected by an index into the batch axes."""
        taken = tree_map(selector(self.step.shape[:-1], index), vars(self))
        if taken["step"].ndim == 1:
            taken = tree_map(lambda values: values[: (taken["step"] >= 0).sum()], taken)
        return Trajectory(**taken)


@dataclass(frozen=True, eq=False)
class Solution:
    """Final state of a run, or of a batch of runs along the leading axes.

    Attributes
    ----------
    x
        The signal X, shape ``(..., N)``.
    theta
        Parameters of the network at the end (named tuples of NumPy arrays), a valid start of another run.
    loss, residual
        ``||A X - b||^2 / (2 L)`` and ``||A X - b||_2``, shape ``(...)``, computed from ``x`` at the end.
    steps, status
        Accepted steps, and `Status` of each run as integers, shape ``(...)``.
    stats
        Counts by name, each of shape ``(...)``; descent gives ``trials``, the points at which the loss was computed.
    trajectory
        `Trajectory`, or None; of a flow a `FlowTrajectory`.
    log_x
        Logarithms of the entries of X, if they exist, shape ``(..., N)``; ``(..., 2 N)`` for a difference.
    mirror_dual
        Mirror variable nu, shape ``(..., M)``: the mirror map has changed by ``A^T nu`` since the start.
    dual, gap
        A feasible dual point y, ``A^T y <= w`` (``|A^T y| <= w`` for signed signals), shape ``(..., M)``, and the
        relative gap ``(value - <b, y>) / value`` with ``value = <w, |X|>``, shape ``(...)``: an upper bound on the
        relative excess of X over the minimal weighted l1 norm.
    r, log_rho, collapse_status
        Norm of the factor, logarithm of the magnification factor (17), `CollapseStatus` as integers, shape ``(...)``.
    method
        Function that made the solution, such as ``"gradient_descent"``.
    farkas
        Proof of infeasibility, shape ``(..., M)``: y with ``b^T y > 0`` and ``A^T y <= 0`` (``A^T y = 0`` for signed
        signals), up to rounding, for runs of status `Status.INFEASIBLE`; NaN for the others.
    """

    x: np.ndarray
    theta: Any
    loss: np.ndarray
    residual: np.ndarray
    steps: np.ndarray
    status: np.ndarray
    stats: Mapping[str, np.ndarray] = field(default_factory=dict)
    trajectory: Any = None
    log_x: np.ndarray | None = None
    mirror_dual: np.ndarray | None = None
    dual: np.ndarray | None = None
    gap: np.ndarray | None = None
    r: np.ndarray | None = None
    log_rho: np.ndarray | None = None
    collapse_status: np.ndarray | None = None
    method: str = ""
    farkas: np.ndarray | None = None

    @property
    def batch_shape(self) -> tuple[int, ...]:
        """Shape of the leading axes, ``()`` for one run."""
        return self.x.shape[:-1]

    @property
    def rho(self) -> Any:
        """Magnification factor (17), shape ``(...)``: inf or 0 on overflow or underflow."""
        if self.log_rho is None:
            return None
        with np.errstate(over="ignore"):
            return np.exp(self.log_rho)

    @property
    def converged(self) -> Any:
        """True for runs that meet the stopping criterion, shape ``(...)``."""
        return self.status == Status.CONVERGED

    @property
    def message(self) -> str:
        """Message of the status of one run, or the count of each status in a batch."""
        if not self.batch_shape:
            return Status(int(self.status)).message
        values, counts = np.unique(self.status, return_counts=True)
        return "; ".join(f"{count} x {Status(int(v)).name.lower()}" for v, count in zip(values, counts, strict=True))

    def __getitem__(self, index: Any) -> Solution:
        """Return the runs selected by an index into the batch axes."""
        arrays = {name: value for name, value in vars(self).items() if name not in ("trajectory", "method")}
        trajectory = None if self.trajectory is None else self.trajectory[index]
        taken = tree_map(selector(self.batch_shape, index), arrays)
        return Solution(**taken, trajectory=trajectory, method=self.method)

    def __repr__(self) -> str:
        """Return status, loss and steps, without the data."""
        if self.batch_shape:
            return f"Solution(batch_shape={self.batch_shape}, {self.message})"
        status = Status(int(self.status)).name.lower()
        return f"Solution({status}, loss={float(self.loss):.3g}, steps={int(self.steps)})"
