"""Descent with the rows of A spread over several devices does what it does on one."""

import os
import socket
import subprocess
import sys
import textwrap

import pytest

import polarbias as pb

SCRIPT = """
    import jax
    import numpy as np
    import polarbias as pb

    devices = jax.devices()
    assert len(devices) == 4
    rng = np.random.default_rng(0)
    A = rng.standard_normal((22, 60)) / 22**0.5  # not a multiple of 4
    problem = pb.LinearProblem(A, A @ np.abs(rng.standard_normal(60)))
    eta = np.array([0.1, 0.3, 1.0])
    network = pb.WeightNormalization(pb.HadamardPower(2), eta)
    theta0 = network.init([0.3, 1.0, 2.0], np.abs(rng.standard_normal((3, 60))) + 0.05)
    for start in (theta0, pb.Polar(theta0.r[1], theta0.u[1])):
        chosen = network if np.ndim(start.r) else pb.WeightNormalization(pb.HadamardPower(2), eta[1])
        options = {"step": pb.ConstantStep(0.001), "max_steps": 1000, "tol": 0}
        one = pb.gradient_descent(problem, chosen, start, **options)
        spread = pb.gradient_descent(problem, chosen, start, devices=devices, **options)
        np.testing.assert_allclose(spread.x, one.x, rtol=1e-9, atol=1e-14)
        np.testing.assert_allclose(spread.trajectory.loss, one.trajectory.loss, rtol=1e-9)
        assert (spread.steps == 1000).all()
    from polarbias.descent.vector_field import spread
    data = spread(problem, np.dtype(float), devices)
    assert {shard.data.shape for shard in data.A.addressable_shards} == {(1, 6, 60)}
    assert len({shard.device for shard in data.A_transposed.addressable_shards}) == 4
"""


def test_rows_over_four_devices():
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(SCRIPT)]
    environment = {"XLA_FLAGS": "--xla_force_host_platform_device_count=4", "JAX_ENABLE_X64": "1"}
    done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


HOSTS = """
    import sys

    import jax
    import numpy as np

    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(sys.argv[1], num_processes=2, process_id=int(sys.argv[2]))
    import polarbias as pb

    rng = np.random.default_rng(0)
    A = rng.standard_normal((22, 60)) / 22**0.5
    problem = pb.LinearProblem(A, A @ np.abs(rng.standard_normal(60)))
    network = pb.WeightNormalization(pb.HadamardPower(2), 0.3)
    theta0 = network.init(np.geomspace(0.1, 2, 50), np.ones(60))
    options = {"step": pb.ConstantStep(0.001), "max_steps": 1000, "tol": 0}
    spread = pb.gradient_descent(problem, network, theta0, devices=jax.devices(), **options)
    one = pb.gradient_descent(problem, network, theta0, **options)
    assert len(jax.devices()) == 2 * len(jax.local_devices())
    np.testing.assert_allclose(spread.x, one.x, rtol=1e-9, atol=1e-14)
"""


def test_rows_over_two_hosts():
    """Two processes that know each other, as on two hosts; several workers, whose sums must not mix."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    commands = [[sys.executable, "-c", textwrap.dedent(HOSTS), address, str(host)] for host in range(2)]
    hosts = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for command in commands]
    try:
        errors = [host.communicate(timeout=300)[1] for host in hosts]
    finally:
        for host in hosts:
            host.kill()
    assert [host.returncode for host in hosts] == [0, 0], errors


def test_what_is_no_device_is_refused():
    network = pb.HadamardPower(2)
    problem = pb.LinearProblem([[1.0, 2.0]], [2.0])
    with pytest.raises(pb.InvalidInput, match="devices must be a sequence of JAX devices"):
        pb.gradient_descent(problem, network, network.init(1.0, [1.0, 1.0]), devices=[0, 1])
