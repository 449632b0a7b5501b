"""The curve of limits: grids, extreme starts, units, and the number of Newton steps."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import polarbias as pb
from limit_cases import assert_solves, limit, random_data, wn
from polarbias.limit.limit_curve import LimitCurve
from polarbias.linalg.normal_equations import normal_equations
from polarbias.mirror.reduced_form import reduced_forms
from polarbias.solution import CollapseStatus, Status


@pytest.mark.parametrize("depth", [1, 2, 3, 4, 6])
@given(
    st.floats(-140, 140),
    st.floats(-140, 140),
    st.booleans(),
    st.sampled_from([(pb.ConstantRatio, 2), (pb.HarmonicRatio, 2), (lambda c: pb.PowerRatio(c, 1), 1), (None, 0)]),
)
def test_units_of_matrix_and_signal_change_no_decision(depth, power_a, power_x, signed, law):
    """A -> a A, b -> a c b turns X into c X once r0 goes with it, and the coefficient of the law."""
    A, b, u = random_data(6)
    u, inner = np.tile(u, 1 + signed) + 0.1 * np.arange(u.size * (1 + signed)), wn(depth, signed=signed).inner
    a, c = 10**power_a, 10**power_x

    def limit_at(a, c):
        r = c ** (1 / depth)
        network = inner if law[0] is None else pb.WeightNormalization(inner, law[0](0.3 * r ** law[1]))
        return limit(a * A, a * c * b, u, network, scale=1.5 * r)

    base, scaled = limit_at(1, 1), limit_at(a, c)
    assert scaled.status == base.status == Status.CONVERGED
    np.testing.assert_allclose(scaled.x / c, base.x, rtol=0, atol=1e-9 * np.abs(base.x).max())
    assert float(scaled.r) == pytest.approx(c ** (1 / depth) * float(base.r), rel=1e-9)
    assert float(scaled.residual) <= 1e-10 * a * c * np.linalg.norm(b)
    if depth > 1:
        assert float(scaled.log_rho) == pytest.approx(float(base.log_rho), rel=1e-9, abs=1e-9)
        assert float(scaled.gap) == pytest.approx(float(base.gap), rel=1e-6, abs=1e-9)
        np.testing.assert_allclose(a * (A.T @ scaled.mirror_dual), A.T @ base.mirror_dual, rtol=1e-6, atol=1e-8)


@given(st.lists(st.floats(-8, 8), min_size=4, max_size=4))
def test_units_of_single_equations_change_nothing(powers):
    A, b, u = random_data(7)
    D = 10.0 ** np.array(powers)
    base, scaled = limit(A, b, u), limit(D[:, None] * A, D * b, u)
    assert scaled.status == Status.CONVERGED
    np.testing.assert_allclose(scaled.x, base.x, rtol=0, atol=1e-8 * base.x.max())


@pytest.mark.parametrize("scale", [1e-3, 1e-1, 1e1, 1e2])
@pytest.mark.parametrize("eta", [1e-3, 1e-1, 1e1, 1e2])
@pytest.mark.parametrize("depth", [2, 3, 6])
def test_extreme_starts_give_accurate_limits_or_say_why_not(depth, eta, scale):
    A, b, u = random_data(8, m=6, n=15)
    solution = limit(A, b, u, wn(depth, eta), scale)
    if solution.status == Status.COLLAPSED:
        assert scale**2 <= eta
        assert solution.collapse_status == CollapseStatus.COLLAPSES
    else:
        assert_solves(solution, A, b)


def test_a_grid_over_one_direction_is_its_single_limits():
    """Grids share a path between their cells; no cell may feel the others."""
    A, b, u = random_data(11, m=6, n=20)
    scales, ratios = np.meshgrid(np.logspace(-2, 2, 5), [10.0, 1.0, 0.1, 0.01])
    network = wn(2, ratios)
    problem = pb.LinearProblem(A, b)
    grid = pb.flow_limit(problem, network, network.init(scales, np.broadcast_to(u, (*scales.shape, 20))))
    for at in np.ndindex(scales.shape):
        one = limit(A, b, u, wn(2, ratios[at]), scales[at])
        assert grid.status[at] == one.status
        np.testing.assert_allclose(grid.x[at], one.x, rtol=0, atol=1e-9 * max(one.x.max(), 1e-300))


@pytest.mark.parametrize("ratio", [0.1, 0.03])
def test_directions_that_spread_widely_are_followed_or_called_inaccurate(ratio):
    inaccurate = 0
    for seed in range(6):
        problem = pb.gaussian_problem(seed=seed, m=15, n=60)
        network = pb.WeightNormalization(pb.HadamardPower(2), ratio)
        direction = np.exp(-np.random.default_rng(seed).uniform(0, 200, 60))
        found = pb.flow_limit(problem, network, network.init(1.0, direction))
        if found.converged:
            assert found.residual <= 1e-9 * np.linalg.norm(problem.b)
            continue
        inaccurate += 1
        assert found.status == Status.INACCURATE
        assert np.isfinite(found.x).all()
        assert found.r > 0 or np.isnan(found.gap)
    assert inaccurate < 6 or ratio < 0.1


@pytest.mark.parametrize("depth", [2, 3])
def test_the_slope_is_the_derivative_of_nu_along_the_curve(depth):
    A, b, u = random_data(3)
    network = pb.HadamardPower(depth)

    def point(alpha):
        [(_, one, form)] = reduced_forms(pb.LinearProblem(A, b), network, network.init(alpha, u))[1]
        found = LimitCurve(normal_equations(one, signed=False), form.log_u0, np.exp(form.log_u0), depth).solve(form)
        assert found.converged
        return found

    below, at, above = point(0.999), point(1.0), point(1.001)
    moved = (above.nu - below.nu) / (above.tau - below.tau)
    np.testing.assert_allclose(-at.slope, moved, rtol=1e-4, atol=1e-6 * np.abs(moved).max())


COUNTS = [
    ("gaussian", 2, 0.1, 1.0, 18),
    ("gaussian", 2, 1e-3, 0.1, 17),
    ("gaussian", 2, 10.0, 3.0, 10),
    ("gaussian", 3, 0.1, 1.0, 27),
    ("gaussian", 4, 0.01, 0.1, 31),
    ("gaussian", 6, 1.0, 10.0, 30),
    ("sparse", 3, 0.1, 0.01, 56),
]


@pytest.mark.parametrize(("truth", "depth", "eta", "r0", "steps"), COUNTS)
def test_the_number_of_newton_steps(truth, depth, eta, r0, steps):
    """Fixed inputs: options that change the path of the iteration change the count."""
    if truth == "gaussian":
        problem = pb.gaussian_problem(seed=1, m=30, n=120, truth="gaussian")
    else:
        problem = pb.gaussian_problem(seed=3, m=30, n=120, truth="sparse", s=4)
    network = pb.WeightNormalization(pb.HadamardPower(depth), eta)
    solution = pb.flow_limit(problem, network, network.init(r0, pb.folded_gaussian_direction(seed=2, n=120)))
    assert solution.converged
    # Rounding differs between libraries of linear algebra.
    assert int(solution.steps) == pytest.approx(steps, abs=1 if depth == 2 else 3)
