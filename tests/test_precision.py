"""Precision, threads, processes: float64 by default whatever JAX's flag says, and objects that travel."""

import copy
import json
import logging
import multiprocessing
import os
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import polarbias as pb
from polarbias.descent import vector_field
from polarbias.networks import parameters

N = 6
# Runs here, in threads, and in processes with the flag set either way; the results are exact hexadecimal numbers.
SCRIPT = textwrap.dedent("""
    import numpy as np
    import polarbias as pb

    def exact():
        rng = np.random.default_rng(0)
        A = rng.standard_normal((3, 6)) / 3**0.5
        problem = pb.LinearProblem(A, A @ np.abs(rng.standard_normal(6)))
        network = pb.WeightNormalization(pb.HadamardPower(3), pb.HarmonicRatio([0.3, 1.0]))
        theta = network.init([0.5, 1.5], np.arange(1.0, 7.0))
        run = pb.gradient_descent(problem, network, theta, max_steps=60, tol=0.0)
        field = pb.vector_field(problem, network, theta)
        arrays = [field.r, field.u, pb.ConstantStep.stable(problem, network, theta).dt]
        arrays += [run.x, run.theta.r, run.theta.u, run.loss, run.trajectory.loss, run.trajectory.l1]
        assert {array.dtype for array in arrays} == {np.dtype(np.float64)}
        return [value.hex() for array in arrays for value in array.ravel().tolist()]
""")


@pytest.fixture(scope="module")
def exact():
    namespace = {}
    exec(SCRIPT, namespace)
    return namespace["exact"]


@pytest.fixture(scope="module")
def here(exact):
    return exact()


@pytest.fixture(scope="module")
def theta(network):
    return network.init(1.0, np.arange(1.0, N + 1))


def python(code, **environment):
    """Standard output of a fresh interpreter."""
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_results_do_not_depend_on_the_flag_of_jax(here):
    """The flag is off here and on in a fresh process, which prints it afterwards."""
    code = SCRIPT + "import json, jax\nprint(json.dumps([exact(), jax.config.jax_enable_x64]))"
    assert json.loads(python(code, JAX_ENABLE_X64="1")) == [here, True]


def test_results_do_not_depend_on_the_thread(exact, here):
    with ThreadPoolExecutor(2) as pool:
        assert [run.result() for run in [pool.submit(exact) for _ in range(2)]] == [here, here]


def test_the_flag_is_as_it_was_after_success_and_failure(problem, network, theta):
    def state():
        return jax.config.jax_enable_x64, jnp.zeros(1).dtype

    def fail(progress):
        raise RuntimeError("from the callback")

    before = state()
    pb.gradient_descent(problem, network, theta, max_steps=60)
    assert state() == before
    with pytest.raises(RuntimeError, match="from the callback"):
        pb.gradient_descent(problem, network, theta, max_steps=60, callback=fail)
    assert state() == before


def test_float32_data_run_in_float64(problem, network):
    small = pb.LinearProblem(problem.A.astype(np.float32), problem.b.astype(np.float32))
    wide = pb.LinearProblem(small.A.astype(np.float64), small.b.astype(np.float64))
    theta = pb.Polar(*(np.asarray(leaf, np.float32) for leaf in network.init(1.0, np.arange(1.0, N + 1))))
    doubled = pb.Polar(*(leaf.astype(np.float64) for leaf in theta))
    runs = [(small, network, theta), (wide, network, doubled)]
    first, second = (pb.gradient_descent(*run, max_steps=80, tol=0.0) for run in runs)
    assert first.x.dtype == first.theta.u.dtype == first.trajectory.loss.dtype == np.float64
    np.testing.assert_array_equal(first.x, second.x)
    assert second.loss == first.loss < 1e-12  # far below what single precision reaches
    assert pb.ConstantStep.stable(*runs[0]).dt == pb.ConstantStep.stable(*runs[1]).dt


def test_float32_on_request_is_float32_throughout(problem, network, theta):
    options = {"step": pb.ConstantStep(0.02), "max_steps": 2000, "tol": 0.0, "keep_x": True}
    single = pb.gradient_descent(problem, network, theta, dtype=np.float32, **options)
    double = pb.gradient_descent(problem, network, theta, **options)
    record = single.trajectory
    for array in (single.x, single.theta.r, single.theta.u, record.loss, record.r, record.l1, record.x):
        assert array.dtype == np.float32
    assert single.status == pb.Status.MAX_STEPS
    np.testing.assert_allclose(single.x, double.x, rtol=1e-3, atol=1e-5)
    assert double.loss < 1e-20
    assert 1e-18 < single.loss < 1e-9  # it stalls where single precision must


def test_every_quantity_of_a_float32_step_is_float32(problem, network, theta):
    """Products and sums with constants are where float64 creeps in unnoticed."""
    single = np.dtype(np.float32)
    for each in (network, pb.HadamardDifference(2), pb.Difference(network)):
        start = theta if each is network else each.init(1.0, np.ones(2 * N))
        with jax.enable_x64(True):
            data = vector_field.jax_problem(problem, (), single)
            cast = parameters.cast(each, single)
            start = jax.tree.map(lambda leaf: jnp.asarray(leaf, single), start)
            residual = data.residual(cast.signal(start))
            direction, slope = vector_field.field(cast, start, data.adjoint(residual))
        for array in (residual, slope, *jax.tree.leaves(direction)):
            assert array.dtype == single


def test_results_are_numpy_and_inputs_are_left_alone(problem, network):
    theta = network.init(1.0, np.arange(1.0, N + 1))
    kept = copy.deepcopy(theta)
    for start in (theta, jax.tree.map(jnp.asarray, theta)):
        run = pb.gradient_descent(problem, network, start, max_steps=60)
        for leaf in jax.tree.leaves([run.x, run.loss, run.residual, run.steps, run.status, run.stats, run.theta]):
            assert isinstance(leaf, np.ndarray | np.generic), type(leaf)
        assert all(isinstance(leaf, np.ndarray) for leaf in vars(run.trajectory).values() if leaf is not None)
    same(theta, kept)


def same(one, other):
    assert type(one) is type(other)
    for mine, theirs in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_a_spawned_process_runs_what_it_is_sent(problem, network, theta):
    """Problem, network, parameters, step and solution all cross the border by pickling."""
    options = {"step": pb.ConstantStep(0.01), "max_steps": 60, "keep_x": True}
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        there = pool.apply(pb.gradient_descent, (problem, network, theta), options)
    here = pb.gradient_descent(problem, network, theta, **options)
    same(*(vars(run) | vars(run.trajectory) | {"trajectory": None} for run in (there, here)))


def test_importing_costs_nothing():
    heavy = ["jax", "scipy", "matplotlib", "pandas", "pyarrow", "sklearn"]
    code = f"import sys, polarbias; dir(polarbias); print([name for name in {heavy} if name in sys.modules])"
    assert python(code) == "[]\n"


def test_unknown_names_are_attribute_errors():
    with pytest.raises(AttributeError, match="module 'polarbias' has no attribute 'gradient_ascent'"):
        _ = pb.gradient_ascent


def test_runs_print_nothing_and_log_under_their_name(problem, network, theta, capfd, caplog):
    with caplog.at_level(logging.DEBUG, logger="polarbias"):
        pb.gradient_descent(problem, network, theta, max_steps=60)
        pb.gradient_descent(problem, network, theta, step=pb.ConstantStep(1e100), max_steps=60)
    assert capfd.readouterr().out == ""
    assert {record.levelno for record in caplog.records if record.name.startswith("polarbias")} == {logging.DEBUG}
