"""All statements of the paper about one solution, as a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, overload

import numpy as np

from polarbias.errors import InvalidInput
from polarbias.linalg.blas_threads import limit_blas_threads
from polarbias.problems.linear import LinearProblem, require_dense
from polarbias.problems.reference import Minimum
from polarbias.solution import Solution
from polarbias.theory.divergence import divergences
from polarbias.theory.ends import start
from polarbias.theory.equations import equations
from polarbias.theory.evidence import Evidence
from polarbias.theory.lemmas import lemmas
from polarbias.theory.theorems import theorems
from polarbias.theory.verdict import Outcome, Verdict

_HEADER = ("statement", "hypotheses", "predicted", "observed", "verdict")


@dataclass(frozen=True)
class Verification(Sequence[Verdict]):
    """The rows of a verification, in order; indexing takes a number, a slice, or the name of a statement.

    Attributes
    ----------
    rows
        One `Verdict` per statement. Printed, they are an aligned table.

    Examples
    --------
    >>> import polarbias as pb
    >>> problem = pb.LinearProblem([[1.0, 2.0]], [1.0])
    >>> network = pb.WeightNormalization(pb.HadamardPower(2), 0.1)
    >>> theta0 = network.init(0.5, [1.0, 1.0])
    >>> table = pb.verify(problem, network, theta0, pb.flow_limit(problem, network, theta0))
    >>> table["(21) corrected"].predicted, table["(21) corrected"].observed, table.violated
    ('r_inf^2 >= 0.5', 'r_inf^2 = 0.5411', ())
    """

    rows: tuple[Verdict, ...]

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.rows)

    def __iter__(self) -> Iterator[Verdict]:
        """Go through the rows."""
        return iter(self.rows)

    @overload
    def __getitem__(self, index: int | str) -> Verdict: ...
    @overload
    def __getitem__(self, index: slice) -> Verification: ...
    def __getitem__(self, index: int | str | slice) -> Verdict | Verification:
        """Return a row by position or statement, or several."""
        if isinstance(index, slice):
            return Verification(self.rows[index])
        if isinstance(index, str):
            for row in self.rows:
                if row.statement == index:
                    return row
            raise KeyError(f"no statement {index!r}; there are: {', '.join(row.statement for row in self.rows)}.")
        return self.rows[index]

    @property
    def counts(self) -> dict[str, int]:
        """Number of rows with each verdict."""
        return {outcome.value: sum(row.verdict is outcome for row in self.rows) for outcome in Outcome}

    @property
    def violated(self) -> tuple[Verdict, ...]:
        """The rows that contradict their statement."""
        return tuple(row for row in self.rows if row.verdict is Outcome.VIOLATED)

    def __str__(self) -> str:
        """Return the table."""
        lines = [_HEADER]
        for row in self.rows:
            met = len(row.hypotheses) - len(row.unmet)
            unmet = "not: " + "; ".join(one.name for one in row.unmet)
            text = unmet if row.unmet else f"{met} met" if met else "none"
            lines.append((row.statement, text, row.predicted, row.observed, row.verdict.value))
        widths = [max(len(line[column]) for line in lines) for column in range(len(_HEADER) - 1)]
        rule = tuple("-" * width for width in [*widths, len(_HEADER[-1])])
        table = [lines[0], rule, *lines[1:]]
        return "\n".join(
            " | ".join([*(cell.ljust(width) for cell, width in zip(line, widths, strict=False)), line[-1]])
            for line in table
        )


def verify(
    problem: LinearProblem,
    network: Any,
    theta0: Any,
    solution: Solution,
    *,
    minimum: Minimum | None = None,
    accuracy: float = 1e-6,
) -> Verification:
    r"""Hold one solution to every statement of the paper, and to the corrected and sharper forms.

    Parameters
    ----------
    problem, network, theta0
        One run: A dense, `HadamardPower`, `HadamardDifference`, or `WeightNormalization` around one of them, any
        ratio law, and the start from which ``solution`` was computed.
    solution
        A flow with its trajectory, a limit without one, or a descent. Of descent only what is exact for its steps is
        judged, in rows that say so; the drift of what the flow alone keeps is reported.
    minimum
        A minimal l1 solution of the problem (for a signed network of ``problem.signed()``), which saves a linear
        program.
    accuracy
        Relative accuracy of a flow's trajectory: about 100 times the ``accuracy`` given to `gradient_flow`.

    Returns
    -------
    Verification
        One row per statement: holds, violated, hypothesis not met, or undecided, with the reason.

    Raises
    ------
    InvalidInput
        A batch, another network, shapes that do not fit, A not dense, an accuracy outside (0, 0.01].

    Notes
    -----
    The end X of a flow is the exact limit of the flow for b' = A X, so bounds on limits are judged for b'.

    References
    ----------
    arXiv:2305.05448v1; "corrected" marks statements that docs/errata.md corrects.

    Examples
    --------
    >>> import polarbias as pb
    >>> problem = pb.LinearProblem([[1.0, 2.0]], [1.0])
    >>> network = pb.WeightNormalization(pb.HadamardPower(2), 0.1)
    >>> theta0 = network.init(0.5, [1.0, 1.0])
    >>> table = pb.verify(problem, network, theta0, pb.gradient_flow(problem, network, theta0))
    >>> table.counts["violated"], table["Lemma 3.7, (33)"].verdict.value
    (0, 'holds')
    """
    form = start(problem, network, theta0)
    require_dense(problem, "verify")
    if not isinstance(solution, Solution):
        raise InvalidInput(f"solution must be a Solution, got {type(solution).__name__}.")
    if solution.batch_shape:
        raise InvalidInput(f"verify takes one solution, got a batch of shape {solution.batch_shape}; index it first.")
    if solution.x.shape != (problem.n,):
        raise InvalidInput(f"solution.x must have shape ({problem.n},), got {solution.x.shape}.")
    if minimum is not None and not isinstance(minimum, Minimum):
        raise InvalidInput(f"minimum must be a Minimum or None, got {minimum!r}.")
    if not (isinstance(accuracy, Real) and 0 < accuracy <= 1e-2):
        raise InvalidInput(f"accuracy must be a number above 0 and up to 0.01, got {accuracy!r}.")
    evidence = Evidence(problem, network, theta0, solution, form, float(accuracy), minimum)
    with np.errstate(under="ignore"), limit_blas_threads(problem.m):
        return Verification((*lemmas(evidence), *equations(evidence), *divergences(evidence), *theorems(evidence)))
