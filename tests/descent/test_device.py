"""Devices: selection, the shape of workers, and rows of A sharded over several devices."""

import os
import socket
import subprocess
import sys

import jax
import pytest
from click.testing import CliRunner

from polarbias.cli import main
from polarbias.descent import device
from polarbias.descent.options import OPTIONS


def test_the_device_of_a_block():
    assert device.default_device() is None
    with device.use_device("cpu"):
        assert device.default_device().platform == "cpu"
        assert device.device_shape() is OPTIONS.cpu
    assert device.device_shape("cuda") is OPTIONS.gpu
    assert device.device_shape(jax.devices("cpu")[0]) is OPTIONS.cpu


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="there is a GPU")
def test_a_missing_device_is_an_error_before_any_work(tmp_path):
    result = CliRunner().invoke(main, ["reproduce", "--device", "gpu", "--output", str(tmp_path / "none")])
    assert result.exit_code != 0
    assert "JAX finds no GPU here" in str(result.exception) + result.output
    assert not (tmp_path / "none").exists()


DATA = """
import sys

import jax
import numpy as np

if len(sys.argv) > 1:
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(sys.argv[1], num_processes=2, process_id=int(sys.argv[2]))
import polarbias as pb
from polarbias.descent.vector_field import sharded_problem

rng, devices = np.random.default_rng(0), jax.devices()
A = rng.standard_normal((22, 60)) / 22**0.5  # not a multiple of 4
problem = pb.LinearProblem(A, A @ np.abs(rng.standard_normal(60)))
options = {"step": 0.001, "max_steps": 200, "tol": 0}

def compare(eta, scale):
    network = pb.WeightNormalization(pb.HadamardPower(2), eta)
    theta0 = network.init(scale, np.linspace(0.1, 1, 60))
    one = pb.gradient_descent(problem, network, theta0, **options)
    sharded = pb.gradient_descent(problem, network, theta0, devices=devices, **options)
    np.testing.assert_allclose(sharded.x, one.x, rtol=1e-9, atol=1e-14)
    np.testing.assert_allclose(sharded.trajectory.loss, one.trajectory.loss, rtol=1e-9)
    assert (sharded.steps == 200).all()
"""
FOUR_DEVICES = """
assert len(devices) == 4
compare(np.geomspace(0.1, 1, 30), np.geomspace(0.1, 2, 30))  # several workers, whose sums must not mix
data = sharded_problem(problem, np.dtype(float), devices)
assert {shard.data.shape for shard in data.A.addressable_shards} == {(1, 6, 60)}
assert len({shard.device for shard in data.A_transposed.addressable_shards}) == 4
"""
TWO_HOSTS = """
assert len(devices) == 2 * len(jax.local_devices())
compare(0.3, np.geomspace(0.1, 2, 50))
"""


def test_rows_over_four_devices():
    command = [sys.executable, "-W", "error", "-c", DATA + FOUR_DEVICES]
    environment = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=4", "JAX_ENABLE_X64": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


@pytest.mark.full
def test_rows_over_two_hosts():
    """Two processes stand for two hosts."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    commands = [[sys.executable, "-c", DATA + TWO_HOSTS, address, str(host)] for host in range(2)]
    hosts = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for command in commands]
    try:
        errors = [host.communicate(timeout=300)[1] for host in hosts]
    finally:
        for host in hosts:
            host.kill()
    assert [host.returncode for host in hosts] == [0, 0], errors
