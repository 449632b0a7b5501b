import numpy as np
import pytest

import polarbias as pb


@pytest.fixture(scope="session")
def problems():
    """Two problems, wide enough that products with one and with several runs take different code paths."""
    rng = np.random.default_rng(2)
    A = rng.standard_normal((2, 6, 20)) / np.sqrt(6)
    return pb.LinearProblem(A, np.einsum("tmn,tn->tm", A, np.abs(rng.standard_normal((2, 20)))))
