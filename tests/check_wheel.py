"""Build the wheel, install it alone into an empty environment, and run the README's first example there.

An editable install forgives a file missing from the wheel and a package missing from the requirements; this does not.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from test_readme import README, blocks

ROOT = README.parent


def call(*arguments: object, cwd: Path) -> None:
    subprocess.run([str(argument) for argument in arguments], cwd=cwd, check=True, env=ENVIRONMENT)


ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
ENVIRONMENT["MPLBACKEND"] = "Agg"
PIP = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")


def main() -> None:
    example = next(block for block in blocks(README.read_text()) if block.language == "python")
    with tempfile.TemporaryDirectory(prefix="polarbias-wheel-") as name:
        folder = Path(name)
        empty = folder / "empty"
        empty.mkdir()
        call(*PIP, "wheel", "--no-deps", "--wheel-dir", folder, ROOT, cwd=folder)
        (wheel,) = folder.glob("polarbias-*.whl")
        call(sys.executable, "-m", "venv", "--without-pip", folder / "venv", cwd=folder)
        python = folder / "venv" / "bin" / "python"
        call(*PIP, "--python", python, "install", "--no-compile", wheel, cwd=folder)
        # -I keeps the working directory and the user's packages off the module path.
        call(python, "-I", "-c", example.code, cwd=empty)
        call(python.with_name("polarbias"), "--help", cwd=empty)
        print(f"wheel check passed: {wheel.name}")


if __name__ == "__main__":
    main()
