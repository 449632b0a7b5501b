"""Compilation of functions of trees that hold arrays and constants."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar, cast

import jax
import numpy as np

Function = TypeVar("Function", bound=Callable[..., Any])


def jit_arrays(function: Function) -> Function:
    """Return the compiled function; leaves of its arguments that are not arrays are constants.

    `jax.jit` would trace the numbers in a user's network, which ``range`` then could not take, and refuse strings and
    functions.
    """

    @partial(jax.jit, static_argnums=(0, 1))
    def compiled(structure: Any, constants: tuple[Any, ...], arrays: list[Any]) -> Any:
        remaining = iter(arrays)
        leaves = [next(remaining) if constant is None else constant[1] for constant in constants]
        return function(*jax.tree.unflatten(structure, leaves))

    def call(*arguments: Any) -> Any:
        leaves, structure = jax.tree.flatten(arguments)
        arrays = [leaf for leaf in leaves if _is_array(leaf)]
        # The type distinguishes 1 from True and 1.0.
        constants = tuple(None if _is_array(leaf) else (type(leaf), leaf) for leaf in leaves)
        return compiled(structure, constants, arrays)

    return cast(Function, call)


def _is_array(leaf: Any) -> bool:
    return isinstance(leaf, np.ndarray | np.generic | jax.Array)
