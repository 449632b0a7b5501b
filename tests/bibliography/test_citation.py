"""References: BibTeX that parses, and for each method the works that it uses and no more."""

import re
import subprocess
import sys
from dataclasses import replace
from importlib.metadata import version
from unittest.mock import Mock

import numpy as np
import pandas as pd
import pytest

import polarbias as pb
from commands import call
from polarbias.bibliography import citation as module
from polarbias.errors import InvalidInput, StoreMismatch
from polarbias.estimator import BasisPursuit, DiagonalLinearRegressor
from polarbias.experiments import pack, reproduce, sweep
from polarbias.experiments.engine.cluster import DaskBackend
from polarbias.experiments.engine.store import read_metadata, write_table
from polarbias.experiments.grids.grid import read_grid
from repository import ROOT
from reproductions import quiet, small

GENERAL = ["polarbias", "chou2023robust"]
JAX = ["bradbury2018jax"]
ARRAYS = ["harris2020array", "virtanen2020scipy"]
ARMIJO, MIRROR, LSODA = "armijo1966minimization", "beck2003mirror", "petzold1983automatic"
HIGHS, MEHROTRA = "huangfu2018parallelizing", "mehrotra1992implementation"
NOISY = [MEHROTRA, "chen1998atomic", "gondzio1996multiple", "winternitz2012constraint"]
NOISY += ["rockafellar1976monotone", "friedlander2007exact", "li2018highly"]
GREEDY = ["donoho2012sparse", "fuchs2004sparse"]
LEARN, DASK = "pedregosa2011scikit", "rocklin2015dask"
PACKAGES = {
    "polarbias": "polarbias", JAX[0]: "jax", ARRAYS[0]: "numpy", ARRAYS[1]: "scipy",
    LEARN: "scikit-learn", DASK: "distributed",
}  # fmt: skip


def parsed(text):
    """Read BibTeX entries whose fields have a line each and whose braces balance."""
    entries = {}
    for entry in text.strip().split("\n\n"):
        kind, key, body = re.fullmatch(r"@(\w+)\{([\w-]+),\n((?:  \w+ = \{.+\},\n)+)\}", entry).groups()
        fields = re.findall(r"  (\w+) = \{(.+)\},\n", body)
        assert key not in entries
        assert len(dict(fields)) == len(fields)
        for _, value in fields:
            depth = np.cumsum([{"{": 1, "}": -1}.get(letter, 0) for letter in value])
            assert depth.min() >= 0 == depth[-1]
        entries[key] = {"kind": kind, **dict(fields)}
    return entries


def keys(*used):
    """Return the keys beyond the general ones, in their order."""
    found = list(parsed(pb.citation(*used)))
    assert found[:2] == GENERAL
    return found[2:]


@pytest.fixture(scope="module")
def start():
    problem = pb.gaussian_problem(seed=0, m=8, n=20, truth="sparse", s=2)
    network = pb.WeightNormalization(pb.HadamardPower(2), 0.1)
    return problem, network, network.init(1.0, pb.uniform_direction(20))


def everything():
    return pb.citation(pb.gradient_flow, pb.gradient_descent, pb.mirror_descent, pb.minimal_l1, BasisPursuit,
                       pb.flow_limit, DaskBackend)  # fmt: skip


def test_entries_are_complete_ascii_and_state_installed_versions():
    entries = parsed(everything())
    assert list(entries) == [*GENERAL, *JAX, *ARRAYS, LEARN, DASK, ARMIJO, MIRROR, LSODA, HIGHS, *NOISY, *GREEDY]
    needed = {"article": {"journal", "volume", "pages"}, "inproceedings": {"booktitle"}, "misc": set()}
    for key, entry in entries.items():
        assert {"author", "title"} | needed[entry["kind"]] <= entry.keys()
        assert all(value.isascii() and not re.search(r"[%#&$_~^]", re.sub(r"\\[\^'.]", "", value))
                   for value in entry.values())  # fmt: skip
        assert re.fullmatch(r"\{[^{}]+\}", entry["title"])
        assert re.fullmatch(r"(19|20)\d\d", entry.get("year", "")) or key == "polarbias"
        assert re.fullmatch(r"\d+--\d+", entry.get("pages", "1--2"))
        assert re.fullmatch(r"10\.\d{4,5}/\S+", entry.get("doi", "10.1234/x"))
        for author in entry["author"].split(" and "):
            assert author.count(", ") == 1 or re.fullmatch(r"\{.*\}", author)
    stated = {key: entry["note"] for key, entry in entries.items() if "Version" in entry.get("note", "")}
    assert stated == {key: f"Version {version(package)}" for key, package in PACKAGES.items()}
    assert r"Polat, {\.I}lhan" in entries[ARRAYS[1]]["author"]


def test_software_and_paper_agree_with_the_citation_file():
    software, paper = (ROOT / "CITATION.cff").read_text().split("references:")
    [mine, theirs] = parsed(pb.citation()).values()

    def field(text, name):
        return re.search(rf"^ *{name}: (.*)$", text, re.MULTILINE)[1]

    assert mine["title"] == f"{{{field(software, 'title')}}}"
    assert mine["author"] == f"{{{field(software, '- name')}}}"
    people = re.findall(r"family-names: (.*)\n +given-names: (.*)", paper)
    assert theirs["author"].split(" and ") == [f"{family}, {given}" for family, given in people]
    assert theirs["title"] == f"{{{field(paper, 'title')}}}"
    assert theirs["year"] == field(paper, "year")
    assert f"{theirs['archiveprefix']}:{theirs['eprint']}" == field(paper, "value")
    assert theirs["url"] == field(paper, "url")


def test_text_has_a_line_for_each_entry():
    lines = pb.citation(pb.basis_pursuit, style="text").splitlines()
    assert len(lines) == 2 + len(keys(pb.basis_pursuit))
    assert lines[0] == f"the polarbias developers. polarbias. Version {pb.__version__}."
    assert lines[1].startswith("Hung-Hsu Chou, Holger Rauhut, Rachel Ward (2023). Robust Implicit Regularization via")
    assert "arXiv:2305.05448v1" in lines[1]
    assert lines[2].startswith("Charles R. Harris et al. (2020). Array programming with NumPy. Nature 585, 357-362.")
    assert any("André L. Tits, Dianne P. O'Leary (2012)" in line for line in lines)
    assert not re.search(r"[{}\\]|--|\.\.|  ", "\n".join(lines))


def test_solutions(start):
    problem, network, _ = start
    run = pb.gradient_descent(*start, max_steps=50)
    assert keys(run) == keys(pb.gradient_descent) == keys(pb.Armijo()) == [*JAX, ARMIJO]
    constant = pb.gradient_descent(*start, step=pb.ConstantStep(1e3), max_steps=50)  # with a rejected trial
    assert keys(constant) == JAX
    assert keys(constant, pb.Armijo) == [*JAX, ARMIJO]
    # The flow of the network's own parameters alone needs automatic differentiation.
    flow, primal = pb.gradient_flow(*start), pb.gradient_flow(*start, full=True, t_end=0.01)
    assert keys(flow) == keys(flow.trajectory) == keys(pb.gradient_flow) == [*ARRAYS, LSODA]
    assert keys(primal) == keys(primal.trajectory) == [*JAX, *ARRAYS, LSODA]
    limits = pb.flow_limit(problem, network, network.init(np.array([0.5, 1.0]), pb.uniform_direction(20)))
    assert keys(limits) == keys(limits[1]) == [*ARRAYS, MEHROTRA]
    integrated = replace(limits[0], collapse_status=np.array(pb.CollapseStatus.INTEGRATED))
    assert keys(integrated) == keys(pb.flow_limit) == [*ARRAYS, LSODA, MEHROTRA]
    assert keys(pb.limit_sensitivity) == keys(pb.limit_sensitivity(*start, limits[1])) == ARRAYS
    assert keys(pb.mirror_descent(*start, max_steps=20)) == keys(pb.mirror_descent) == [*ARRAYS, MIRROR]
    used = [pb.minimal_l1(problem), limits, run]
    assert keys(*used) == keys(*used[::-1]) == keys(*used, *used) == [*JAX, *ARRAYS, ARMIJO, HIGHS, MEHROTRA]


def test_minima_and_estimators(start):
    problem = start[0]
    assert keys(pb.basis_pursuit(problem.A, problem.b)) == keys(pb.basis_pursuit) == [*ARRAYS, *NOISY, *GREEDY]
    for one in (problem, pb.stack([problem, pb.gaussian_problem(seed=1, m=8, n=20)])):
        assert keys(pb.minimal_l1(one)) == keys(pb.minimal_l1) == [*ARRAYS, HIGHS]
        assert keys(pb.minimal_l2(one)) == keys(pb.minimal_l2) == ARRAYS
    mine = type("Mine", (BasisPursuit,), {})
    assert keys(BasisPursuit()) == keys(BasisPursuit) == keys(mine()) == [*ARRAYS, LEARN, *NOISY, *GREEDY]
    assert keys(DiagonalLinearRegressor()) == [*ARRAYS, LEARN, LSODA, MEHROTRA]
    assert keys(DiagonalLinearRegressor(method="descent")) == [*JAX, LEARN, ARMIJO]
    assert keys(DiagonalLinearRegressor) == [*JAX, *ARRAYS, LEARN, ARMIJO, LSODA, MEHROTRA]


def test_unknown_objects_are_refused(start):
    def gradient_descent():
        """Has the name of a public function."""

    named = {"int": 3, "WeightNormalization": start[1], "polarbias": pb, "Solution": pb.Solution, "stack": pb.stack}
    for name, value in {**named, "gradient_descent": gradient_descent}.items():
        with pytest.raises(InvalidInput, match=rf"no references for {name}; give a Solution .*minimal_l1"):
            pb.citation(value)
    with pytest.raises(InvalidInput, match="no method; give the function"):
        pb.citation(replace(pb.flow_limit(*start), method=""))
    with pytest.raises(InvalidInput, match="style must be bibtex or text, got 'apa'"):
        pb.citation(style="apa")


def test_imports_and_versions_of_absent_packages(monkeypatch):
    code = """
import sys
import polarbias as pb
assert "year = {2023}" in pb.citation(pb.basis_pursuit, pb.minimal_l2) and not {"jax", "pandas"} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    monkeypatch.setattr(module, "version", Mock(side_effect=module.PackageNotFoundError))
    assert [key for key, entry in parsed(everything()).items() if "Version" in entry.get("note", "")] == ["polarbias"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, no_drawings):
    folder = tmp_path_factory.mktemp("whole")
    reproduce(small(max_steps=60), folder, [4], observe=quiet)
    return folder


@pytest.mark.usefixtures("no_logging_set_up")
def test_reproductions_archives_and_sweeps(folder, tmp_path):
    assert keys(folder) == keys(str(folder)) == [*JAX, *ARRAYS, ARMIJO, HIGHS, MEHROTRA]
    pack(folder, tmp_path)
    assert pb.citation(tmp_path) == pb.citation(folder) == call("cite", folder).stdout.rstrip()
    for name in ("runs", "trajectories"):  # an archive of limits alone
        path = tmp_path / f"{name}.parquet"
        write_table(path, pd.DataFrame({"key": pd.Series(dtype=str)}), read_metadata(path))
    assert keys(tmp_path) == [*ARRAYS, HIGHS, MEHROTRA]
    grid = tmp_path / "grid.toml"
    for rule, wanted in (("stable", [*JAX, *ARRAYS, HIGHS]), ("mirror", [*ARRAYS, MIRROR, HIGHS])):
        grid.write_text(f'm = 8\nn = 16\ns = 2\ntruth = "sparse"\nmax_steps = 20\nstep = "{rule}"\n')
        sweep(read_grid(grid), tmp_path / rule, observe=quiet)
        assert keys(tmp_path / rule) == wanted


def test_folders_state_the_versions_of_their_tables(folder, tmp_path):
    (tmp_path / "spec.json").write_bytes((folder / "spec.json").read_bytes())
    (tmp_path / "limits").mkdir()
    [plain, *_] = sorted((folder / "limits").iterdir())
    metadata = read_metadata(plain)
    for name, versions in {"a": {"numpy": "1.0"}, "b": {"numpy": "2.0", "distributed": "3.0"}}.items():
        stored = {**metadata, "versions": {**metadata["versions"], "polarbias": "0.0.1", **versions}}
        write_table(tmp_path / "limits" / f"{name}.parquet", pd.read_parquet(plain), stored)
    entries = parsed(pb.citation(tmp_path))
    assert list(entries) == [*GENERAL, *ARRAYS, DASK, HIGHS, MEHROTRA]
    notes = [entries[key]["note"] for key in ("polarbias", ARRAYS[0], DASK)]
    assert notes == ["Version 0.0.1", "Versions 1.0, 2.0", "Version 3.0"]
    assert f"Versions 0.0.1, {pb.__version__}" in pb.citation(tmp_path, pb.minimal_l2)


def test_empty_and_damaged_folders_are_refused(folder, tmp_path):
    with pytest.raises(InvalidInput, match=r"there is no folder '.*nowhere'"):
        pb.citation(tmp_path / "nowhere")
    with pytest.raises(StoreMismatch, match=r"holds no results: there is no spec\.json in it"):
        pb.citation(tmp_path)
    (tmp_path / "spec.json").write_bytes((folder / "spec.json").read_bytes())
    with pytest.raises(StoreMismatch, match="holds no finished task yet"):
        pb.citation(tmp_path)
    (tmp_path / "runs").mkdir()
    [path, *_] = sorted((folder / "runs").iterdir())
    damaged = tmp_path / "runs" / path.name
    for write in (lambda: damaged.write_bytes(path.read_bytes()[:200]), lambda: pd.DataFrame().to_parquet(damaged)):
        write()
        with pytest.raises(StoreMismatch, match=rf"{path.name} is damaged: "):
            pb.citation(tmp_path)
