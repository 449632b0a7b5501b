"""Run code as in an environment that has none of the extras."""

import subprocess
import sys

EXTRAS = (
    "jax", "jaxlib", "pandas", "pyarrow", "matplotlib", "sklearn", "rich", "panel", "bokeh", "dask",
    "distributed",
)  # fmt: skip

BLOCK = """
import sys

class Absent:
    names = {names!r}

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.names:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent())
"""


def without_extras(code: str, keep: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """Run Python code in a process in which the extras, except those in ``keep``, cannot be imported."""
    names = tuple(name for name in EXTRAS if name not in keep)
    return subprocess.run([sys.executable, "-c", BLOCK.format(names=names) + code], capture_output=True, text=True)
