"""Limits of BLAS threads."""

from threadpoolctl import threadpool_info

from polarbias.linalg.blas_threads import MULTITHREADED_ROWS, limit_blas_threads


def threads():
    return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]


def test_small_matrices_use_one_thread_and_the_limit_ends_with_the_block():
    before = threads()
    with limit_blas_threads(2):
        assert set(threads()) <= {1}
    assert threads() == before


def test_large_matrices_keep_the_threads(monkeypatch):
    monkeypatch.setattr("polarbias.linalg.blas_threads._controller", None)  # it is not called
    with limit_blas_threads(MULTITHREADED_ROWS):
        pass
