"""Print the lower bounds of the core's dependencies as exact versions: constraints for `make test-min`."""

import re
import tomllib

from repository import ROOT


def pinned(requirement: str) -> str:
    """Return a requirement's lower bound as its only version.

    >>> pinned("scipy>=1.13")
    'scipy==1.13'
    """
    found = re.fullmatch(r"([\w.-]+)>=([\d.]+)", requirement)
    if found is None:
        raise SystemExit(f"pyproject.toml: {requirement!r} is not NAME>=VERSION")
    return f"{found[1]}=={found[2]}"


if __name__ == "__main__":
    for requirement in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]:
        print(pinned(requirement))
