"""BLAS threads: matrices of a few hundred rows are slower on several threads, at times twenty times slower.

The number is limited at the public entries of the solvers and put back after them; what the user has set elsewhere is
left alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from threadpoolctl import ThreadpoolController

LARGE = 700
"""Rows from which on a factorization gains from more threads."""


@cache
def _controller() -> ThreadpoolController:
    # Looking for the libraries takes milliseconds, setting a limit in libraries that are known takes microseconds.
    return ThreadpoolController()


@contextmanager
def limit_blas_threads(rows: int) -> Iterator[None]:
    """Run the block on one BLAS thread if its matrices have few ``rows``."""
    if rows >= LARGE:
        yield
        return
    with _controller().limit(limits=1, user_api="blas"):
        yield
