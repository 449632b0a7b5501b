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
np.savez("p.npz", A=problem.A, b=problem.b)
"""


def main(folder: Path) -> None:
    def call(*arguments: object) -> None:
        subprocess.run([str(argument) for argument in arguments], cwd=folder, check=True, env=ENVIRONMENT)

    call(*PIP, "wheel", "--no-deps", "--wheel-dir", folder, ROOT)
    (wheel,) = folder.glob("polarbias-*.whl")
    with zipfile.ZipFile(wheel) as archive:  # the metadata end with the README
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        assert b"](" in (metadata := archive.read(name))
    assert not re.search(rb"\]\((?!https?:)", metadata), "a package index cannot resolve relative links"
    call(sys.executable, "-m", "venv", "--without-pip", folder / "venv")
    python, command = (folder / "venv" / "bin" / name for name in ("python", "polarbias"))
    call(*PIP, "--python", python, "install", "--no-compile", wheel)
    files = [path for path in (folder / "venv").rglob("*") if path.is_file() and not path.is_symlink()]
    megabytes = sum(path.stat().st_size for path in files) // 10**6
    # -I removes the working directory and the user's packages from the module path.
    call(python, "-I", "-c", BARE)
    call(command, "--help")
    call(command, "solve", "p.npz", "p.npz", "--nonnegative")
    call(command, "limit", "--matrix", "p.npz", "--rhs", "p.npz")
    if "--full" in sys.argv[1:]:
        call(*PIP, "--python", python, "install", "--no-compile", f"{wheel}[descent]")
        example = next(block for block in blocks(README.read_text()) if block.language == "python")
        call(python, "-I", "-c", example.code)
    print(f"wheel check passed: {wheel.name}; a bare environment has {megabytes} MB")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="polarbias-wheel-") as name:
        main(Path(name))
