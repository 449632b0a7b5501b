r"""Gradient descent on weight-normalized diagonal linear networks: dynamics, exact limits, certified basis pursuit.

Weight normalization gives gradient descent a bias towards sparse solutions of :math:`A X = b`, even from large starts
(Chou, Rauhut, Ward, arXiv:2305.05448). `gradient_descent` and `gradient_flow` compute trajectories of a network on a
problem, `flow_limit` their limits; all return a `Solution`. `basis_pursuit` computes minimal l1 norms.
"""

from importlib import import_module

__version__ = "0.1.0"

# The stub lists the public names, one import for each; importing them all here would take a second.
_stub = __loader__.get_data(__file__.removesuffix(".py") + ".pyi").decode()  # type: ignore[name-defined]
_MODULES = {words[3]: words[1] for line in _stub.splitlines() if (words := line.split())[:1] == ["from"]}

__all__ = sorted(_MODULES)


def __getattr__(name: str) -> object:
    """Import a public name from its module."""
    if name not in _MODULES:
        raise AttributeError(f"module 'polarbias' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_MODULES[name]), name)
    return value


def __dir__() -> list[str]:
    """List the public names, imported or not."""
    return [*__all__, "__version__"]
