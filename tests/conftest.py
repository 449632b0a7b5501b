import os

# Set before NumPy or XLA start, and inherited by worker and child processes: one thread each, because the workers
# already share the cores. NPROC is what XLA's CPU client sizes its thread pool by.
for name in ("NPROC", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")
os.environ["MPLBACKEND"] = "Agg"

from hypothesis import settings  # noqa: E402

# Compilation makes the first example slow by any clock, so examples have no deadline.
settings.register_profile("default", deadline=None, derandomize=True, max_examples=25)
settings.register_profile("full", deadline=None, derandomize=True, max_examples=500, print_blob=True)
settings.load_profile("default")

# A script of `make test`, not a test module.
collect_ignore = ["check_wheel.py"]
