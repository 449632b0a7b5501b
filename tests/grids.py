"""Helper for tests of sweeps."""

import json

SMALL = {"m": 8, "n": 20, "s": 2, "scale": [0.1, 1.0], "ratio": [1.0, 0.1], "max_steps": 100}


def written(folder, content=None, **changes):
    """Return the path of a TOML file with a small grid and changes to it, or with the given content."""
    lines = (f"{name} = {json.dumps(value)}" for name, value in {**SMALL, **changes}.items())
    path = folder / "grid.toml"
    path.write_text("\n".join(lines) if content is None else content)
    return path
