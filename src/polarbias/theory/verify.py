"""Table of all statements of the paper for one solution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np

from polarbias.errors import InvalidInput
from polarbias.linalg.blas_threads import limit_blas_threads
from polarbias.problems.linear import LinearProblem, require_dense
from polarbias.problems.reference import Minimum
from polarbias.runtime.options import positive_number
from polarbias.solution import Solution
from polarbias.theory.divergence import DIVERGENCES
from polarbias.theory.endpoint import reduced_form
from polarbias.theory.equations import EQUATIONS
from polarbias.theory.evidence import Evidence
from polarbias.theory.lemmas import LEMMAS
from polarbias.theory.theorems import THEOREMS
from polarbias.theory.verdict import Verdict, VerificationRow

STATEMENTS = (*LEMMAS, *EQUATIONS, *DIVERGENCES, *THEOREMS)
"""The rows of a verification in order."""

_HEADER = ("statement", "hypotheses", "predicted", "observed", "verdict")


@dataclass(frozen=True)
class Verification(Sequence[VerificationRow]):
    """Rows of a verification in order, one `VerificationRow` per statement; ``print`` shows an aligned table.

    Indexing takes a number, a slice, or the name of a statement.

    >>> import polarbias as pb
    >>> problem, network = pb.LinearProblem([[1.0, 2.0]], [1.0]), pb.WeightNormalization(pb.HadamardPower(2), 0.1)
    >>> theta0 = network.init(0.5, [1.0, 1.0])
    >>> table = pb.verify(problem, network, theta0, pb.flow_limit(problem, network, theta0))
    >>> table["(21) corrected"].predicted, table["(21) corrected"].observed, table.violated
    ('r_inf^2 >= 0.5', 'r_inf^2 = 0.5411', ())
    """

    rows: tuple[VerificationRow, ...]

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, index: int | str) -> VerificationRow: ...
    @overload
    def __getitem__(self, index: slice) -> Verification: ...
    def __getitem__(self, index: int | str | slice) -> VerificationRow | Verification:
        """Return a row by position or statement, or a slice of rows."""
        if isinstance(index, slice):
            return Verification(self.rows[index])
        if isinstance(index, str):
            names = [row.statement for row in self.rows]
            if index not in names:
                raise KeyError(f"no statement {index!r}; there are: {', '.join(names)}.")
            return self.rows[names.index(index)]
        return self.rows[index]

    @property
    def counts(self) -> dict[str, int]:
        """Number of rows with each verdict."""
        return {verdict.value: sum(row.verdict is verdict for row in self.rows) for verdict in Verdict}

    @property
    def violated(self) -> tuple[VerificationRow, ...]:
        """The rows that contradict their statement."""
        return tuple(row for row in self.rows if row.verdict is Verdict.VIOLATED)

    def __str__(self) -> str:
        lines: list[tuple[str, ...]] = [_HEADER]
        for row in self.rows:
            met = len(row.hypotheses) - len(row.unmet)
            unmet = "not: " + "; ".join(one.name for one in row.unmet)
            text = unmet if row.unmet else f"{met} met" if met else "none"
            lines.append((row.statement, text, row.predicted, row.observed, row.verdict.value))
        widths = [max(len(line[column]) for line in lines) for column in range(len(_HEADER) - 1)]
        lines.insert(1, tuple("-" * width for width in [*widths, len(_HEADER[-1])]))
        return "\n".join(" | ".join([*map(str.ljust, line, widths), line[-1]]) for line in lines)


def verify(
    problem: LinearProblem,
    network: Any,
    theta0: Any,
    solution: Solution,
    *,
    minimum: Minimum | None = None,
    accuracy: float = 1e-6,
) -> Verification:
    r"""Check one solution against every statement of arXiv:2305.05448v1, in corrected and sharper forms.

    "corrected" marks statements with an entry in docs/errata.md. The end X of a flow is the exact limit of the flow
    for b' = A X, so bounds on limits are checked for b'. Each statement has one row: holds, violated, hypothesis
    not met, or undecided, with the reason. A batch, another network, shapes that do not match, A not dense and an
    accuracy outside (0, 0.01] raise `InvalidInput`.

    Parameters
    ----------
    problem, network, theta0
        One run: A dense, `HadamardPower`, `HadamardDifference`, or `WeightNormalization` around one of them, any
        ratio law, and the start from which ``solution`` was computed.
    solution
        A flow with its trajectory, a limit, or a run of descent. Rows for descent check only statements that are exact
        for its steps; they report the drift of invariants of the flow.
    minimum
        A minimal l1 solution of the problem (for a signed network of ``problem.signed()``), to save a linear program.
    accuracy
        Relative accuracy of a flow's trajectory: about 100 times the ``accuracy`` given to `gradient_flow`.

    Examples
    --------
    >>> import polarbias as pb
    >>> problem, network = pb.LinearProblem([[1.0, 2.0]], [1.0]), pb.WeightNormalization(pb.HadamardPower(2), 0.1)
    >>> theta0 = network.init(0.5, [1.0, 1.0])
    >>> table = pb.verify(problem, network, theta0, pb.gradient_flow(problem, network, theta0))
    >>> table.counts["violated"], table["Lemma 3.7, (33)"].verdict.value
    (0, 'holds')
    """
    form = reduced_form(problem, network, theta0)
    require_dense(problem, "verify")
    if not isinstance(solution, Solution):
        raise InvalidInput(f"solution must be a Solution, got {type(solution).__name__}.")
    if solution.batch_shape:
        raise InvalidInput(f"verify takes one solution, got a batch of shape {solution.batch_shape}; index it first.")
    if solution.x.shape != (problem.n,):
        raise InvalidInput(f"solution.x must have shape ({problem.n},), got {solution.x.shape}.")
    if minimum is not None and not isinstance(minimum, Minimum):
        raise InvalidInput(f"minimum must be a Minimum or None, got {minimum!r}.")
    accuracy = positive_number("accuracy", accuracy, 1e-2)
    evidence = Evidence(problem, network, theta0, solution, form, accuracy, minimum)
    with np.errstate(under="ignore"), limit_blas_threads(problem.m):
        return Verification(tuple(statement(evidence) for statement in STATEMENTS))
