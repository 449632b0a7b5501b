"""JAX, for tests of the core: without it (`make test-min`), a test that uses it is skipped."""

from typing import Any

import pytest


class _Missing:
    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name == "pytestmark":  # of the collection of tests
            raise AttributeError(name)
        pytest.skip("needs JAX")


try:
    import jax
    import jax.numpy as jnp
except ModuleNotFoundError:
    jax = jnp = _Missing()

__all__ = ["jax", "jnp"]
