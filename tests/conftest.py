import logging
import os

# Set before NumPy or XLA start, and inherited by worker and child processes: one thread each, because the workers
# already share the cores. NPROC is what XLA's CPU client sizes its thread pool by.
for name in ("NPROC", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")
os.environ["MPLBACKEND"] = "Agg"

import numpy as np  # noqa: E402
import pytest  # noqa: E402
from hypothesis import settings  # noqa: E402

import polarbias as pb  # noqa: E402

# Compilation makes the first example slow by any clock, so examples have no deadline.
settings.register_profile("default", deadline=None, derandomize=True, max_examples=25)
settings.register_profile("full", deadline=None, derandomize=True, max_examples=500, print_blob=True)
settings.load_profile("default")

# A script of `make test`, not a test module.
collect_ignore = ["check_wheel.py"]


@pytest.fixture
def no_logging_set_up(monkeypatch):
    """Commands set up logging for their process, which here is that of all tests."""
    monkeypatch.setattr(logging, "basicConfig", lambda **options: None)


@pytest.fixture(scope="module")
def no_drawings():
    """Save the time of drawing; processes that tests start draw."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("polarbias.experiments.paper.reproduction.draw_all", lambda figures, results, folder: [])
        patch.setattr("polarbias.experiments.paper.reproduction.write_report", lambda path, *_: path)
        yield


@pytest.fixture(scope="session")
def problem():
    """A small problem with a nonnegative solution; modules that need another define their own."""
    rng = np.random.default_rng(0)
    A = rng.standard_normal((3, 6)) / np.sqrt(3)
    return pb.LinearProblem(A, A @ np.abs(rng.standard_normal(6)))


@pytest.fixture(scope="session")
def network():
    return pb.WeightNormalization(pb.HadamardPower(2), 0.5)
