"""Frozen dataclasses that are pytrees of JAX, and maps over pytrees, without an import of JAX.

JAX keeps a registry of container types. A class defined before JAX is imported waits in a list; `register_pending`
adds it to the registry.
"""

from __future__ import annotations

import sys
from abc import ABC
from collections.abc import Callable
from dataclasses import FrozenInstanceError, dataclass, field, fields
from typing import Any, Self, dataclass_transform

import numpy as np

_pending: list[type[PyTree]] = []


def static_field(**options: Any) -> Any:
    """Return a dataclass field whose value is part of the tree's structure; other fields are subtrees."""
    return field(metadata={"static": True}, **options)


@dataclass_transform(eq_default=False, field_specifiers=(field, static_field))
class PyTree(ABC):  # noqa: B024 - subclasses have abstract methods
    """Base class of frozen dataclasses that JAX flattens into their fields.

    Every subclass is a dataclass without a decorator. Its own or inherited ``__init__`` sets each field once; later
    assignments raise `dataclasses.FrozenInstanceError`. A field with the metadata ``{"static": True}`` is no leaf.

    >>> class Line(PyTree):
    ...     slope: float
    ...     label: str = static_field(default="")
    >>> Line(2.0)
    Line(slope=2.0, label='')
    >>> tree_map(lambda leaf: -leaf, Line(2.0))
    Line(slope=-2.0, label='')
    """

    def __init_subclass__(cls, **options: Any) -> None:
        """Make the subclass a frozen dataclass and a pytree."""
        super().__init_subclass__(**options)
        owner = next(base for base in cls.__mro__ if "__init__" in vars(base))
        custom = owner is not object and not getattr(vars(owner)["__init__"], "_generated", False)
        dataclass(frozen=True, eq=False, repr=False, init=not custom)(cls)
        del cls.__setattr__, cls.__delattr__  # those of PyTree let __init__ assign
        if not custom:
            cls.__init__._generated = True  # type: ignore[attr-defined]
        _pending.append(cls)
        register_pending()

    def __new__(cls, *args: Any, **options: Any) -> Self:
        """Create an instance of a registered class."""
        del args, options
        register_pending()
        return super().__new__(cls)

    def __setattr__(self, name: str, value: Any) -> None:
        """Set a field that has no value yet."""
        if name in vars(self) or all(name != own.name for own in fields(self)):  # type: ignore[arg-type]
            raise FrozenInstanceError(f"cannot assign to field {name!r}")
        object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        """Refuse to delete a field."""
        raise FrozenInstanceError(f"cannot delete field {name!r}")

    def __getstate__(self) -> tuple[dict[str, Any], list[str]]:
        """Return the values and the names of read-only arrays, since pickles and deep copies of arrays are writable."""
        values = dict(vars(self))
        arrays = {name: value for name, value in values.items() if isinstance(value, np.ndarray)}
        return values, [name for name, array in arrays.items() if not array.flags.writeable]

    def __setstate__(self, state: tuple[dict[str, Any], list[str]]) -> None:
        """Set the values."""
        values, read_only = state
        vars(self).update(values)
        for name in read_only:
            values[name].flags.writeable = False

    def _values(self) -> dict[str, Any]:
        return {own.name: getattr(self, own.name) for own in fields(self)}  # type: ignore[arg-type]

    def __eq__(self, other: object) -> bool:
        """Compare the values of all fields."""
        if type(other) is not type(self):
            return NotImplemented
        pairs = zip(self._values().values(), other._values().values(), strict=True)
        return all(a is b or array_namespace(a, b).array_equal(a, b) for a, b in pairs)

    def __hash__(self) -> int:
        """Return the hash of the type: fields may be arrays."""
        return hash(type(self))

    def __repr__(self) -> str:
        """Return the call that makes the instance."""

        def shown(value: Any) -> str:
            return repr(value.tolist() if isinstance(value, np.ndarray | np.generic) else value)

        shown_values = ", ".join(f"{name}={shown(value)}" for name, value in self._values().items())
        return f"{type(self).__name__}({shown_values})"

    def _replace(self, **values: Any) -> Self:
        """Return a copy with other values of some fields, not validated."""
        copy = object.__new__(type(self))
        vars(copy).update(self._values() | values)
        return copy

    @classmethod
    def _names(cls, *, static: bool) -> tuple[str, ...]:
        return tuple(own.name for own in fields(cls) if own.metadata.get("static", False) is static)  # type: ignore[arg-type]


def register_pending() -> None:
    """Register the classes that JAX does not have yet, if JAX is loaded."""
    if not _pending or "jax" not in sys.modules:
        return
    from jax.tree_util import GetAttrKey, register_pytree_with_keys

    def register(cls: type[PyTree]) -> None:
        leaves, structure = cls._names(static=False), cls._names(static=True)

        def flatten(node: PyTree) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
            values = vars(node)
            return tuple(values[name] for name in leaves), tuple(values[name] for name in structure)

        def flatten_with_keys(node: PyTree) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
            children, static = flatten(node)
            return tuple(zip(map(GetAttrKey, leaves), children, strict=True)), static

        def unflatten(static: tuple[Any, ...], children: Any) -> PyTree:
            node = object.__new__(cls)
            vars(node).update(zip(structure, static, strict=True))
            vars(node).update(zip(leaves, children, strict=True))
            return node

        register_pytree_with_keys(cls, flatten_with_keys, unflatten, flatten)

    while _pending:
        register(_pending.pop())


def is_jax_array(value: object) -> bool:
    """Return True for an array or tracer of JAX."""
    return "jax" in sys.modules and isinstance(value, getattr(sys.modules["jax"], "Array", ()))


def is_tracer(value: object) -> bool:
    """Return True for an array of JAX without values, inside a transformed function."""
    return is_jax_array(value) and isinstance(value, sys.modules["jax"].core.Tracer)


def array_namespace(*values: object) -> Any:
    """Return `jax.numpy` if one of the values is an array or tracer of JAX, else `numpy`."""
    return sys.modules["jax.numpy"] if any(map(is_jax_array, values)) else np


def tree_map(f: Callable[..., Any], tree: Any, *rest: Any, is_leaf: Callable[[Any], bool] | None = None) -> Any:
    """Return the tree of ``f(leaf, *leaves of rest)``, as `jax.tree.map`.

    Nodes are `PyTree`, named tuples, tuples, lists, dictionaries and None; if JAX is loaded, all registered types.
    """
    if "jax" in sys.modules:
        from jax import tree as jax_tree

        register_pending()
        return jax_tree.map(f, tree, *rest, is_leaf=is_leaf)
    if is_leaf is not None and is_leaf(tree):
        return f(tree, *rest)

    def mapped(*children: Any) -> Any:
        return tree_map(f, *children, is_leaf=is_leaf)

    if tree is None:
        return None
    if isinstance(tree, PyTree):
        return tree._replace(
            **{name: mapped(*(getattr(node, name) for node in (tree, *rest))) for name in tree._names(static=False)}
        )
    if isinstance(tree, dict):
        return {key: mapped(*(node[key] for node in (tree, *rest))) for key in sorted(tree)}
    if isinstance(tree, list | tuple):
        children = [mapped(*nodes) for nodes in zip(tree, *rest, strict=True)]
        return type(tree)(*children) if hasattr(tree, "_fields") else type(tree)(children)
    return f(tree, *rest)


def tree_leaves(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> list[Any]:
    """Return the leaves of a tree in order, as `jax.tree.leaves`."""
    leaves: list[Any] = []
    tree_map(leaves.append, tree, is_leaf=is_leaf)
    return leaves
