"""BLAS threads: matrices of a few hundred rows are slower on several threads, up to twenty times.

Public functions of the solvers limit the number of threads and restore it; other code keeps its setting.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from threadpoolctl import ThreadpoolController

MULTITHREADED_ROWS = 700
"""Rows from which a factorization is faster on more threads: 150 rows take 17 ms on one and 120 to 650 ms on two."""


@cache
def _controller() -> ThreadpoolController:
    # To find the libraries takes milliseconds, to set a limit in known libraries microseconds.
    return ThreadpoolController()


@contextmanager
def limit_blas_threads(rows: int) -> Iterator[None]:
    """Run the block on one BLAS thread if its matrices have few ``rows``."""
    if rows >= MULTITHREADED_ROWS:
        yield
        return
    with _controller().limit(limits=1, user_api="blas"):
        yield
