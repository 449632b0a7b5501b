"""Gradient descent: step sizes, the compiled loop, and batches of runs on all cores or a GPU."""

from polarbias.runtime.extras import require
from polarbias.runtime.pytree import register_pending

require("jax", "descent", "gradient descent")
register_pending()
