"""Gradient descent: step sizes, the compiled loop, and batches of runs on all cores or a GPU."""

from polarbias.runtime.extras import require
from polarbias.runtime.pytree import register_pending

for _module in ("jax", "equinox"):
    require(_module, "descent", "gradient descent")
register_pending()
