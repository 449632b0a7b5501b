"""Missing extras: one line that names the extra."""

import math

import pytest

from polarbias.errors import MissingExtra, PolarbiasError
from polarbias.runtime import extras


def test_a_module_that_is_there():
    assert extras.require("math", "descent") is math


@pytest.mark.parametrize(("module", "project"), [("jax", "JAX"), ("sklearn.base", "scikit-learn"), ("rich", "rich")])
def test_a_missing_module(monkeypatch, module, project):
    def absent(name):
        raise ModuleNotFoundError(f"No module named {name!r}", name=name.partition(".")[0])

    monkeypatch.setattr(extras, "import_module", absent)
    with pytest.raises(MissingExtra) as error:
        extras.require(module, "paper", "report")
    assert str(error.value) == f"report needs {project}: pip install 'polarbias[paper]'"
    assert isinstance(error.value, PolarbiasError)
    assert isinstance(error.value, ImportError)


def test_a_dependency_of_the_module_is_missing(monkeypatch):
    def broken(name):
        raise ModuleNotFoundError("No module named 'jaxlib'", name="jaxlib")

    monkeypatch.setattr(extras, "import_module", broken)
    with pytest.raises(ModuleNotFoundError, match="jaxlib"):
        extras.require("jax", "descent")
