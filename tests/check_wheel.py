"""Build the wheel and use it in an empty environment, without and (``--full``) with the extra ``descent``.

An editable install hides files that the wheel lacks and packages that the requirements lack; this check does not.
"""

import os
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from code_blocks import README, blocks
from repository import ROOT

ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
PIP = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")

BARE = """
import sys
import numpy as np
import polarbias as pb

problem = pb.gaussian_problem(seed=0, m=15, n=40, truth="sparse", s=3)
best = pb.basis_pursuit(problem.A, problem.b, nonnegative=True)
assert pb.certify(problem.A, problem.b, best.x, best.dual, nonnegative=True).within(1e-9)
network = pb.WeightNormalization(pb.HadamardPower(depth=2), ratio=0.1)
start = network.init(scale=0.1, direction=pb.uniform_direction(40))
limit = pb.flow_limit(problem, network, start)
assert limit.converged and abs(limit.x.sum() - best.value) < 1e-3
assert pb.gradient_flow(problem, network, start).converged
assert pb.mirror_descent(problem, network, start, max_steps=5).steps == 5
assert not pb.verify(problem, network, start, limit).violated
assert not {"jax", "pandas", "matplotlib", "sklearn", "rich"} & set(sys.modules)
try:
    pb.gradient_descent(problem, network, start)
except pb.MissingExtra as missing:
    assert "polarbias[descent]" in str(missing) and "\\n" not in str(missing), missing
else:
    raise AssertionError("gradient_descent ran without JAX")
np.save("A.npy", problem.A)
np.save("b.npy", problem.b)
"""


def call(*arguments: object, cwd: Path) -> None:
    subprocess.run([str(argument) for argument in arguments], cwd=cwd, check=True, env=ENVIRONMENT)


def metadata(wheel: Path) -> str:
    """Return the metadata of a wheel, which end with the README."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return archive.read(name).decode()


def size_of(folder: Path) -> int:
    """Return the megabytes of a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink()) // 10**6


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="polarbias-wheel-") as name:
        folder = Path(name)
        empty = folder / "empty"
        empty.mkdir()
        call(*PIP, "wheel", "--no-deps", "--wheel-dir", folder, ROOT, cwd=folder)
        (wheel,) = folder.glob("polarbias-*.whl")
        assert not re.search(r"\]\((?!https?:)", metadata(wheel)), "a package index cannot resolve relative links"
        call(sys.executable, "-m", "venv", "--without-pip", folder / "venv", cwd=folder)
        python = folder / "venv" / "bin" / "python"
        command = python.with_name("polarbias")
        call(*PIP, "--python", python, "install", "--no-compile", wheel, cwd=folder)
        megabytes = size_of(folder / "venv")
        # -I removes the working directory and the user's packages from the module path.
        call(python, "-I", "-c", BARE, cwd=empty)
        call(command, "--help", cwd=empty)
        call(command, "solve", "A.npy", "b.npy", "--nonnegative", cwd=empty)
        call(command, "limit", "--matrix", "A.npy", "--rhs", "b.npy", cwd=empty)
        if "--full" in sys.argv[1:]:
            call(*PIP, "--python", python, "install", "--no-compile", f"{wheel}[descent]", cwd=folder)
            example = next(block for block in blocks(README.read_text()) if block.language == "python")
            call(python, "-I", "-c", example.code, cwd=empty)
        print(f"wheel check passed: {wheel.name}; a bare environment has {megabytes} MB")


if __name__ == "__main__":
    main()
