"""Frozen dataclasses as pytrees: fields, copies, maps with and without JAX."""

import copy
import pickle
import sys
from abc import abstractmethod
from dataclasses import FrozenInstanceError, fields, replace
from typing import Any, NamedTuple

import numpy as np
import pytest

from optional_jax import jax, jnp
from polarbias.runtime.pytree import PyTree, array_namespace, is_tracer, static_field, tree_leaves, tree_map
from without_extras import without_extras


class Pair(NamedTuple):
    left: Any
    right: Any


class Shape(PyTree):
    @abstractmethod
    def area(self):
        """Return the area."""


class Box(Shape):
    width: Any
    height: Any = 2.0
    label: str = static_field(default="box")

    def area(self):
        return self.width * self.height


class Square(Box):
    def __init__(self, width):
        self.width = self.height = np.asarray(width, float)
        self.label = "square"


class Tilted(Square):
    """Inherits the constructor."""


def test_subclasses_are_frozen_dataclasses():
    box = Box(3.0)
    assert [own.name for own in fields(Box)] == ["width", "height", "label"]
    assert repr(box) == "Box(width=3.0, height=2.0, label='box')"
    assert replace(box, height=5.0).area() == 15.0
    assert Square(2).area() == Tilted(2).area() == 4.0
    assert repr(Tilted([1, 2])) == "Tilted(width=[1.0, 2.0], height=[1.0, 2.0], label='square')"
    with pytest.raises(TypeError, match="abstract"):
        Shape()
    for change in (
        lambda: setattr(box, "width", 1.0),
        lambda: delattr(box, "width"),
        lambda: setattr(Square(1), "label", "other"),
    ):
        with pytest.raises(FrozenInstanceError):
            change()


def test_equality_compares_values():
    assert Square([1.0, 2.0]) == Square([1.0, 2.0])
    assert Square(1.0) != Square(2.0)
    assert Square(1.0) != Tilted(1.0)
    assert Box(Square(1.0), None) == Box(Square(1.0), None) != Box(Square(2.0), None)
    assert Box(jnp.ones(2)) == Box(np.ones(2))
    assert len({Square(1.0), Square(1.0), Box(1.0)}) == 2


@pytest.mark.parametrize("again", [copy.deepcopy, lambda tree: pickle.loads(pickle.dumps(tree))])
def test_copies(again):
    other = again(Tilted(2))
    assert other.area() == 4.0
    with pytest.raises(FrozenInstanceError):
        other.width = 1.0
    fixed = np.ones(2)
    fixed.flags.writeable = False
    copied = again(Box(fixed, np.ones(2)))
    assert not copied.width.flags.writeable
    assert copied.height.flags.writeable


def test_jax_flattens_into_fields():
    leaves, structure = jax.tree.flatten(Box(1.0, [2.0, Box(3.0, 4.0)]))
    assert leaves == [1.0, 2.0, 3.0, 4.0]
    assert structure != jax.tree.structure(Box(1.0, [2.0, Box(3.0, 4.0, "other")]))
    assert jax.tree_util.keystr(jax.tree_util.tree_leaves_with_path(Box(1.0, 2.0))[1][0]) == ".height"
    squares = jax.tree.map(lambda leaf: leaf**2, Square([2.0, 3.0]))
    assert type(squares) is Square
    np.testing.assert_array_equal(squares.width, [4.0, 9.0])
    assert jax.grad(lambda box: box.area())(Box(3.0, 2.0)).width == 2.0
    assert jax.jit(Box.area)(Box(3.0, 2.0)) == 6.0


def test_arrays_of_jax_and_tracers():
    assert array_namespace(1.0, np.ones(2)) is np
    assert array_namespace(1.0, jnp.ones(2)) is jnp
    assert not is_tracer(jnp.ones(2))
    assert jax.eval_shape(lambda x: x * is_tracer(x), 1.0).shape == ()


TREE = {"b": [1, (2, None)], "a": Pair(3, Box(4, 5))}


@pytest.mark.parametrize("loaded", [True, False])
def test_maps(monkeypatch, loaded):
    if not loaded:
        monkeypatch.delitem(sys.modules, "jax", raising=False)
    assert tree_leaves(TREE) == [3, 4, 5, 1, 2]
    double = tree_map(lambda x, y: x + y, TREE, TREE)
    assert double["b"] == [2, (4, None)]
    assert double["a"].left == 6
    assert (double["a"].right.width, double["a"].right.height) == (8, 10)
    assert tree_leaves(TREE, is_leaf=lambda node: node is None) == [3, 4, 5, 1, 2, None]
    assert tree_map(len, {"a": [1, 2]}, is_leaf=lambda node: isinstance(node, list)) == {"a": 2}


def test_classes_defined_before_jax_is_imported_are_registered_later():
    code = """
from polarbias.runtime.pytree import PyTree
class Point(PyTree):
    x: float
assert "jax" not in sys.modules
import jax
print(jax.tree.leaves(Point(1.0)))
"""
    run = without_extras(code, keep=("jax", "jaxlib"))
    assert run.stdout == "[1.0]\n", run.stderr
