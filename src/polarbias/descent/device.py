"""Selection of JAX devices, and the shape of batch workers on them."""

from __future__ import annotations

import polarbias.descent.extra  # noqa: F401

# isort: split
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jax

from polarbias.descent.options import OPTIONS, DescentOptions, DeviceShape
from polarbias.errors import InvalidInput


def default_device() -> Any:
    """Return this thread's default JAX device, or None: threads do not inherit it from the thread that starts them."""
    return jax.config.values["jax_default_device"]


def device_shape(device: Any = None, options: DescentOptions = OPTIONS) -> DeviceShape:
    """Return the shape of workers on a JAX device, by default on `default_device`."""
    device = device or default_device()
    kind = getattr(device, "platform", device) or jax.default_backend()
    return options.cpu if kind == "cpu" else options.gpu


@contextmanager
def use_device(kind: str) -> Iterator[None]:
    """Make the first device of a kind, ``cpu`` or ``gpu``, JAX's default in this thread within the block."""
    try:
        device = jax.devices(kind)[0]
    except RuntimeError as reason:
        raise InvalidInput(
            f"JAX finds no {kind.upper()} here. A GPU needs its driver and JAX's package for it, for example"
            " pip install 'jax[cuda13]'; jax.devices() must show it."
        ) from reason
    with jax.default_device(device):
        yield
