"""Tables of docs/statements.md, generated from the code.

``python docs/hooks/statements.py --write`` rewrites them; tests/documents/test_site.py compares them.
"""

import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polarbias as pb
from polarbias.experiments.paper import statements
from polarbias.theory.verdict import Statement
from polarbias.theory.verify import STATEMENTS

DOCS = Path(__file__).parents[1]
PAGE = DOCS / "statements.md"

BOUNDS = {
    "Lemma 3.5, (31) corrected": "loss_rate",
    "Lemma 3.6, (32)": "invariant",
    "Lemma 3.7, (33)": "invariant",
    "local rate": "local_rate",
    "Theorem 2.1(2) corrected, (19)": "l1_bound",
    "Theorem 2.3(2) corrected, (16)": "l1_bound",
    "Theorem 2.1 of [7] corrected, (14)-(16)": "l1_bound",
    "(16), sharper": "sharp_l1_bound",
    "(7), (8) corrected": "uniform_l1_bound",
    "(17), reported": "magnification",
    "(20)": "magnification_bound",
    "exact range of r0": "magnifying_radii",
    "(21) corrected": "radius_bound",
    "radial bound": "radial_l1_bound",
    "band for r^2": "radius_band",
}
"""Public functions of polarbias.theory for the bound or quantity of a row."""


def cell(text: str) -> str:
    """Return text for a cell of a table."""
    return text.replace("|", r"\|").replace("*", r"\*")


def verdicts() -> dict[int, str]:
    """Return the verdicts of the full-length run from docs/paper.md."""
    rows = re.findall(r"^\| (\d+) \|.*\| \*\*(.+)\*\* \|$", (DOCS / "paper.md").read_text(), re.MULTILINE)
    return {int(number): verdict for number, verdict in rows}


def experiments() -> Iterator[str]:
    """Yield the table of the statements about experiments."""
    yield "| # | statement | source | what is done | function | at full length |"
    yield "|---|---|---|---|---|---|"
    found = verdicts()
    for number, entry in enumerate(statements._STATEMENTS, start=1):
        done = re.sub(r" \(statement \d+[^)]*\)", "", inspect.getdoc(entry.check).splitlines()[0])
        home = entry.check.__module__.removeprefix("polarbias.experiments.")
        row = (str(number), entry.statement, entry.source, done, f"`{home}.{entry.check.__name__}`", found[number])
        yield f"| {' | '.join(map(cell, row))} |"


def configurations() -> Iterator[tuple[Any, Any, Any]]:
    """Yield small runs; at least one of them meets the hypotheses of each row."""
    problem = pb.LinearProblem([[1.0, 2.0]], [1.0])
    for network in (
        pb.WeightNormalization(pb.HadamardPower(2), 0.1),
        pb.WeightNormalization(pb.HadamardPower(2), pb.PowerRatio(1.0, 2)),
        pb.HadamardPower(2),
        pb.WeightNormalization(pb.HadamardPower(3), 0.5),
    ):
        yield problem, network, network.init(0.5, [0.6, 0.8])
    network = pb.WeightNormalization(pb.HadamardPower(2), 0.5)
    # Its row sums to zero (Lemma 3.9), and its direction is uniform (7).
    yield pb.LinearProblem([[1.0, -1.0]], [0.5]), network, network.init(0.5, [1.0, 1.0])


def home(statement: Statement) -> str:
    """Return module and name of the function that checks a statement."""
    function = getattr(statement.check, "func", statement.check)
    return f"{function.__module__.removeprefix('polarbias.theory.')}.{function.__name__}"


def rows() -> Iterator[tuple[str, str, str, str, str]]:
    """Yield statement, claim, hypotheses, kinds of solutions, and function of each possible row of `verify`."""
    homes: dict[str, str] = {}
    claims: dict[str, dict[str, None]] = {}
    needs: dict[str, dict[str, None]] = {}
    kinds: dict[str, dict[str, None]] = {}
    for run in configurations():
        solutions = {
            "flow": pb.gradient_flow(*run),
            "limit": pb.flow_limit(*run),
            "descent": pb.gradient_descent(*run, max_steps=50),
        }
        for kind, solution in solutions.items():
            for statement, row in zip(STATEMENTS, pb.verify(*run, solution), strict=True):
                # Descent has its own rows.
                name = row.statement.removesuffix(" (descent)")
                homes[name] = home(statement)
                claims.setdefault(name, {})[row.predicted] = None
                needs.setdefault(name, {}).update({one.name: None for one in row.hypotheses})
                kinds.setdefault(name, {})
                if row.verdict.value in ("holds", "violated"):
                    kinds[name][kind] = None
    for name in claims:
        general = [claim for claim in claims[name] if not re.search(r"\d\.\d|nan|\((?:loss|law|kernel)\)", claim)]
        claim = (general or [re.sub(r" \((?:loss|law|kernel)\)", "", claim) for claim in claims[name]])[0]
        hypotheses = [one for one in needs[name] if one != "2 <= L"]
        hypotheses = (["L >= 2"] if len(hypotheses) < len(needs[name]) else []) + hypotheses
        claim = claim.replace("^-1", "^(2 - L)")
        yield name, claim, "; ".join(hypotheses) or "none", ", ".join(kinds[name]), homes[name]


def verification() -> Iterator[str]:
    """Yield the table of the statements of `verify`."""
    yield "| statement | claim | hypotheses | checked on | functions |"
    yield "|---|---|---|---|---|"
    for name, claim, hypotheses, kinds, home in rows():
        function = BOUNDS.get(name, "")
        if function:
            # The module magnification hides the function of this name in the package.
            home_of = "polarbias.theory.magnification" if function == "magnification" else "polarbias.theory"
            path = f"{home_of}.{function}"
            function = f", [`{function}`](api/theory.md#{path})"
        yield f"| {cell(name)} | {cell(claim)} | {cell(hypotheses)} | {kinds} | `{home}`{function} |"


def page(text: str) -> str:
    """Return the page with new tables."""
    for name, table in (("experiments", experiments), ("verification", verification)):
        begin, end = f"<!-- {name}: docs/hooks/statements.py -->\n", "<!-- end -->"
        before, _, rest = text.partition(begin)
        text = before + begin + "\n" + "\n".join(table()) + "\n\n" + end + rest.partition(end)[2]
    return text


if __name__ == "__main__":
    new = page(PAGE.read_text())
    if sys.argv[1:] == ["--write"]:
        PAGE.write_text(new)
    elif new != PAGE.read_text():
        sys.exit(f"{PAGE} does not match the code: run this script with --write")
