"""Missing extras: one line that names the extra."""

import math

import pytest

from polarbias.errors import MissingExtra, PolarbiasError
from polarbias.runtime import extras
from without_extras import without_extras


def test_a_module_that_is_there():
    assert extras.require("math", "descent") is math


@pytest.mark.parametrize(("module", "project"), [("jax", "JAX"), ("sklearn.base", "scikit-learn"), ("rich", "rich")])
def test_a_missing_module(monkeypatch, module, project):
    def absent(name):
        raise ModuleNotFoundError(f"No module named {name!r}", name=name.partition(".")[0])

    monkeypatch.setattr(extras, "import_module", absent)
    assert issubclass(MissingExtra, PolarbiasError | ImportError)
    with pytest.raises(MissingExtra, match=rf"^report needs {project}: pip install 'polarbias\[paper\]'$"):
        extras.require(module, "paper", "report")


def test_a_dependency_of_the_module_is_missing(monkeypatch):
    def broken(name):
        raise ModuleNotFoundError("No module named 'jaxlib'", name="jaxlib")

    monkeypatch.setattr(extras, "import_module", broken)
    with pytest.raises(ModuleNotFoundError, match="jaxlib"):
        extras.require("jax", "descent")


@pytest.mark.parametrize(
    ("module", "keep", "message"),
    [
        *((f"explorer.{name}", (), "explorer needs Panel: pip install 'polarbias[explore]'")
          for name in ("page", "plots", "server", "views")),
        ("plotting.panels", (), "plotting needs matplotlib: pip install 'polarbias[paper]'"),
        ("plotting.series", ("matplotlib",), "plotting needs pandas: pip install 'polarbias[paper]'"),
        ("experiments", (), "experiments needs JAX: pip install 'polarbias[paper]'"),
        ("experiments", ("jax", "jaxlib"), "experiments needs pandas: pip install 'polarbias[paper]'"),
    ],
)  # fmt: skip
def test_packages_name_their_missing_extra(module, keep, message):
    for name in keep:
        pytest.importorskip(name)
    done = without_extras(f"import polarbias.{module}", keep)
    assert done.stderr.splitlines()[-1] == f"polarbias.errors.MissingExtra: polarbias.{message}"


LIMITS = """
import pickle
import polarbias as pb

problem = pb.gaussian_problem(seed=0, m=5, n=12, truth="sparse", s=2)
for law in (0.1, pb.HarmonicRatio(0.1), pb.PowerRatio(0.1, 1), pb.PowerRatio(1.0, 2)):
    network = pb.WeightNormalization(pb.HadamardPower(2), law)
    theta0 = network.init(scale=0.1, direction=pb.folded_gaussian_direction(seed=1, n=12))
    limit = pb.flow_limit(problem, network, theta0)
    assert limit.converged
    flow = pb.gradient_flow(problem, network, theta0)
    assert abs(flow.x - limit.x).max() < 1e-4
    pb.limit_sensitivity(problem, network, theta0, limit)
    assert not pb.verify(problem, network, theta0, limit).violated
    pb.Potential.of(network)
batch = pb.flow_limit(problem, network, network.init([0.1, 1.0], pb.uniform_direction(12)))
assert pickle.loads(pickle.dumps(batch))[1].theta.r > 0
for step in (None, pb.ConstantStep(0.1)):
    pb.mirror_descent(problem, network, theta0, step=step, max_steps=10)
assert abs(pb.minimal_l1(problem).value - abs(pb.basis_pursuit(problem.A, problem.b).x).sum()) < 1e-6
assert "jax" not in sys.modules

class Own(pb.Network):
    def signal(self, theta):
        return theta

for call in (
    lambda: pb.gradient_descent(problem, network, theta0),
    lambda: pb.vector_field(problem, network, theta0),
    lambda: pb.gradient_flow(problem, network, theta0, full=True),
    lambda: Own().pullback(theta0, None),
):
    try:
        call()
    except pb.MissingExtra as missing:
        print(missing)
"""


def test_limits_need_none_of_the_extras():
    run = without_extras(LIMITS)
    assert run.returncode == 0, run.stderr
    subjects = ["gradient descent", "gradient descent", "gradient_flow", "Own.pullback by automatic differentiation"]
    for line, subject in zip(run.stdout.splitlines(), subjects, strict=True):
        assert line.startswith(subject)
        assert line.endswith(" needs JAX: pip install 'polarbias[descent]'")


def test_the_command_limit_needs_no_other_extra_than_rich():
    run = without_extras(
        "from polarbias.cli import main; main(['limit', '--m', '5', '--n', '12', '--s', '1'])", ("rich",)
    )
    assert run.returncode == 0, run.stderr
