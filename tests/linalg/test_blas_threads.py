"""Limits of BLAS threads."""

from threadpoolctl import threadpool_info

from polarbias.linalg.blas_threads import MULTITHREADED_ROWS, limit_blas_threads


def threads():
    return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]


def test_small_matrices_use_one_thread_until_the_block_ends(monkeypatch):
    before = threads()
    with limit_blas_threads(2):
        assert set(threads()) <= {1}
    assert threads() == before
    monkeypatch.setattr("polarbias.linalg.blas_threads._controller", None)  # large matrices do not call it
    with limit_blas_threads(MULTITHREADED_ROWS):
        assert threads() == before
