"""Import of JAX, or `MissingExtra`: the first import of the modules of this package that users reach."""

from polarbias.runtime.extras import require
from polarbias.runtime.pytree import register_pending

require("jax", "descent", "gradient descent")
register_pending()
