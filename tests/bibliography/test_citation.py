"""What is to be cited: entries that BibTeX can read, and for each road what it uses and no more."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from importlib.metadata import version

import numpy as np
import pandas as pd
import pytest

import polarbias as pb
from commands import call
from polarbias.errors import InvalidInput, StoreMismatch
from polarbias.estimator import BasisPursuit, DiagonalLinearRegressor
from polarbias.experiments import Profile, pack, reproduce, sweep
from polarbias.experiments.engine.store import read_metadata, write_table
from polarbias.experiments.grids.grid import read_grid
from repository import ROOT
from reproductions import quiet

GENERAL = ["polarbias", "chou2023robust"]
JAX = ["bradbury2018jax", "kidger2021equinox"]
ARRAYS = ["harris2020array", "virtanen2020scipy"]
ARMIJO, MIRROR, LSODA = "armijo1966minimization", "beck2003mirror", "petzold1983automatic"
HIGHS, MEHROTRA = "huangfu2018parallelizing", "mehrotra1992implementation"
NOISY = [MEHROTRA, "chen1998atomic", "gondzio1996multiple", "winternitz2012constraint"]
NOISY += ["rockafellar1976monotone", "friedlander2007exact", "li2018highly"]
GREEDY = ["donoho2012sparse", "fuchs2004sparse"]
LEARN, DASK = "pedregosa2011scikit", "rocklin2015dask"


def parsed(text):
    """Read BibTeX by its grammar: entries, fields, values in balanced braces."""
    entries, at = {}, 0

    def expect(pattern):
        nonlocal at
        found = re.compile(rf"\s*(?:{pattern})").match(text, at)
        assert found, f"{pattern} expected at {text[at : at + 40]!r}"
        at = found.end()
        return found[1] if found.re.groups else None

    def value():
        nonlocal at
        expect(r"\{")
        begin, depth = at, 1
        while depth:
            depth += {"{": 1, "}": -1}.get(text[at], 0)
            at += 1
        return text[begin : at - 1]

    while text[at:].strip():
        kind, key, fields = expect(r"@(\w+)"), expect(r"\{([\w-]+),"), {}
        while not re.match(r"\s*\}", text[at:]):
            name = expect(r"(\w+)\s*=")
            assert name not in fields
            fields[name] = value()
            expect(",")
        expect(r"\}")
        assert key not in entries
        entries[key] = {"kind": kind, **fields}
    return entries


def keys(*used):
    """Return the keys beyond those that are always there, in their order."""
    found = list(parsed(pb.citation(*used)))
    assert found[:2] == GENERAL
    return found[2:]


@pytest.fixture(scope="module")
def problem():
    return pb.gaussian_problem(seed=0, m=8, n=20, truth="sparse", s=2)


@pytest.fixture(scope="module")
def start(problem):
    network = pb.WeightNormalization(pb.HadamardPower(2), 0.1)
    return problem, network, network.init(1.0, pb.uniform_direction(20))


# The entries


def everything():
    from polarbias.experiments.engine.cluster import DaskBackend

    return parsed(pb.citation(pb.gradient_flow, pb.gradient_descent, pb.mirror_descent, pb.minimal_l1, BasisPursuit,
                              pb.flow_limit, DaskBackend))  # fmt: skip


def test_entries_are_complete_and_ascii():
    entries = everything()
    assert list(entries) == [
        *GENERAL, *JAX, *ARRAYS, LEARN, DASK, ARMIJO, MIRROR, LSODA, HIGHS, *NOISY, *GREEDY,
    ]  # fmt: skip
    needed = {"article": {"journal", "volume", "pages"}, "inproceedings": {"booktitle"}, "misc": set()}
    for key, entry in entries.items():
        fields = entry.keys() - {"kind"}
        assert {"author", "title"} | needed[entry["kind"]] <= fields
        assert "year" in fields or key == "polarbias"
        for name in fields:
            assert entry[name].strip()
            assert entry[name].isascii()
            assert not re.search(r"[%#&$_~^]", re.sub(r"\\[\^'.]", "", entry[name])), (key, name)
        assert re.fullmatch(r"\{[^{}]+\}", entry["title"])
        assert re.fullmatch(r"(19|20)\d\d", entry.get("year", "2000"))
        assert re.fullmatch(r"\d+--\d+", entry.get("pages", "1--2"))
        assert re.fullmatch(r"10\.\d{4,5}/\S+", entry.get("doi", "10.1234/x"))
        for author in entry["author"].split(" and "):
            assert author.count(", ") == 1 or re.fullmatch(r"\{.*\}", author)
        if entry["kind"] != "misc":
            assert entry["year"] in key
    assert len({entry["title"] for entry in entries.values()}) == len(entries)


def test_accents_are_written_as_tex_reads_them():
    scipy = everything()["virtanen2020scipy"]["author"]
    for name in (r"van der Walt, St{\'e}fan J.", r"Polat, {\.I}lhan", r"Ribeiro, Ant{\^o}nio H.", "{SciPy 1.0 Contr"):
        assert name in scipy
    assert r"{Fern{\'a}ndez del R{\'i}o}, Jaime" in everything()["harris2020array"]["author"]


def test_versions_are_those_installed():
    entries = everything()
    packages = {"bradbury2018jax": "jax", "kidger2021equinox": "equinox", "harris2020array": "numpy",
                "virtanen2020scipy": "scipy", LEARN: "scikit-learn", DASK: "distributed"}  # fmt: skip
    for key, package in packages.items():
        assert entries[key]["note"] == f"Version {version(package)}"
    assert entries["polarbias"]["note"] == f"Version {pb.__version__}"
    assert [key for key, entry in entries.items() if "Version" in entry.get("note", "")] == ["polarbias", *packages]


def test_software_and_paper_agree_with_the_citation_file():
    software, paper = (ROOT / "CITATION.cff").read_text().split("references:")
    entries = parsed(pb.citation())
    assert list(entries) == GENERAL

    def field(text, name):
        return re.search(rf"^ *{name}: (.*)$", text, re.MULTILINE)[1]

    mine = entries["polarbias"]
    assert mine["title"] == f"{{{field(software, 'title')}}}"
    assert mine["note"] == f"Version {field(software, 'version')}"
    assert mine["author"] == f"{{{field(software, '- name')}}}"
    theirs = entries["chou2023robust"]
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


# The roads


def test_descent(start):
    run = pb.gradient_descent(*start, max_steps=50)
    assert (run.stats["trials"] > run.steps + 1).all()
    assert keys(run) == [*JAX, ARMIJO]
    constant = pb.gradient_descent(*start, step=pb.ConstantStep.stable(*start), max_steps=50)
    assert keys(constant) == JAX
    assert keys(pb.gradient_descent(*start, step=pb.ConstantStep(1e3), max_steps=50)) == JAX  # a rejected trial
    assert keys(pb.gradient_descent) == keys(constant, pb.Armijo()) == keys(pb.Armijo) == [*JAX, ARMIJO]


def test_a_batch_and_one_of_it(start):
    problem, network, _ = start
    runs = pb.gradient_descent(problem, network, network.init(np.array([0.5, 1.0]), pb.uniform_direction(20)))
    assert keys(runs) == keys(runs[0]) == [*JAX, ARMIJO]
    limits = pb.flow_limit(problem, network, network.init(np.array([0.5, 1.0]), pb.uniform_direction(20)))
    assert keys(limits) == keys(limits[1]) == [*ARRAYS, MEHROTRA]


@pytest.mark.parametrize("keep", [True, False])
def test_flow(start, keep):
    assert keys(pb.gradient_flow(*start, keep=keep)) == [*ARRAYS, LSODA]
    full = pb.gradient_flow(*start, full=True, t_end=0.01, keep=keep)
    assert keys(full) == keys(pb.gradient_flow) == [*JAX, *ARRAYS, LSODA]
    if keep:
        assert keys(full.trajectory) == keys(full)


def test_flow_of_a_network_without_a_factor(problem):
    class Square(pb.Network):
        def signal(self, theta):
            return theta**2

    assert keys(pb.gradient_flow(problem, Square(), np.ones(20), t_end=0.01, keep=False)) == [*JAX, *ARRAYS, LSODA]
    assert keys(pb.gradient_descent(problem, Square(), np.ones(20), max_steps=50))[:2] == JAX


def test_limit(start):
    limit = pb.flow_limit(*start)
    assert not limit.collapse_status >= pb.CollapseStatus.INTEGRATED
    assert keys(limit) == [*ARRAYS, MEHROTRA]
    assert keys(replace(limit, collapse_status=np.array(pb.CollapseStatus.INTEGRATED))) == [*ARRAYS, LSODA, MEHROTRA]
    assert keys(pb.flow_limit) == [*ARRAYS, LSODA, MEHROTRA]
    assert keys(pb.limit_sensitivity) == keys(pb.limit_sensitivity(*start, limit)) == [JAX[0], *ARRAYS]


def test_mirror_descent(start):
    assert keys(pb.mirror_descent(*start, max_steps=20)) == keys(pb.mirror_descent) == [*ARRAYS, MIRROR]


def test_pursuit_and_minima(problem):
    found = pb.basis_pursuit(problem.A, problem.b)
    assert keys(found) == keys(pb.basis_pursuit) == [*ARRAYS, *NOISY, *GREEDY]
    assert keys(pb.basis_pursuit_denoise) == [*ARRAYS, *NOISY]
    assert keys(pb.minimal_l1(problem)) == keys(pb.minimal_l1) == [*ARRAYS, HIGHS]
    assert keys(pb.minimal_l1(problem, weights=np.arange(1.0, 21.0))) == [*ARRAYS, HIGHS]
    assert keys(pb.minimal_l2(problem)) == keys(pb.minimal_l2) == ARRAYS
    both = pb.stack([problem, pb.gaussian_problem(seed=1, m=8, n=20)])
    assert keys(pb.minimal_l2(both)) == ARRAYS
    assert keys(pb.minimal_l1(both)) == [*ARRAYS, HIGHS]


def test_estimators(problem):
    model = BasisPursuit(fit_intercept=False).fit(problem.A, problem.b)
    assert keys(model) == keys(BasisPursuit) == [*ARRAYS, LEARN, *NOISY, *GREEDY]
    assert keys(DiagonalLinearRegressor()) == [*ARRAYS, LEARN, LSODA, MEHROTRA]
    assert keys(DiagonalLinearRegressor(method="descent")) == [*JAX, LEARN, ARMIJO]
    assert keys(DiagonalLinearRegressor) == [*JAX, *ARRAYS, LEARN, ARMIJO, LSODA, MEHROTRA]

    class Mine(BasisPursuit):
        pass

    assert keys(Mine()) == keys(model)


def test_roads_add_up_in_a_fixed_order(problem, start):
    used = [pb.minimal_l1(problem), pb.flow_limit(*start), pb.gradient_descent(*start, max_steps=50)]
    wanted = [*JAX, *ARRAYS, ARMIJO, HIGHS, MEHROTRA]
    assert keys(*used) == keys(*used[::-1]) == keys(*used, *used) == wanted


def test_what_is_not_known_is_refused(start):
    class Other:
        pass

    def gradient_descent():
        """Bear the name of another."""

    named = [Other(), 3, None, start[1], pb, pb.Solution, pb.stack, gradient_descent]
    names = ["Other", "int", "NoneType", "WeightNormalization", "polarbias", "Solution", "stack", "gradient_descent"]
    for value, name in zip(named, names, strict=True):
        with pytest.raises(InvalidInput, match=rf"to cite for {name} is not known; give a Solution .*minimal_l1"):
            pb.citation(value)
    limit = pb.flow_limit(*start)
    with pytest.raises(InvalidInput, match="does not tell what made it; give the function"):
        pb.citation(pb.Solution(limit.x, limit.theta, limit.loss, limit.residual, limit.steps, limit.status))
    with pytest.raises(InvalidInput, match="style must be bibtex or text, got 'apa'"):
        pb.citation(style="apa")


@pytest.mark.parametrize(
    ("used", "loaded"),
    [("", "jax numpy scipy"), ("pb.basis_pursuit, pb.basis_pursuit([[1.0, 2.0]], [1.0]), pb.minimal_l2", "jax")],
)
def test_citing_loads_no_more_than_what_was_used(used, loaded):
    code = f"""
import sys
import polarbias as pb
assert "year = {{2023}}" in pb.citation({used})
assert callable(pb.citation)
assert not set({loaded!r}.split()) & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_package_that_is_not_installed_has_no_version(monkeypatch):
    from polarbias.bibliography import used

    def missing(name):
        raise used.PackageNotFoundError

    monkeypatch.setattr(used, "version", missing)
    entries = parsed(pb.citation(pb.minimal_l1))
    assert entries["polarbias"]["note"] == f"Version {pb.__version__}"
    assert "note" not in entries["harris2020array"]
    assert entries[HIGHS]["note"] == "HiGHS, called through SciPy"


# Folders


PROFILE = Profile(
    "tiny", trials=1, starts=1, r0=(1.0,), ratios=(1.0,), max_steps=60, m=8, n=16, s=2,
    limit_trials=1, limit_r0=(1.0,), limit_ratios=(1.0,),
)  # fmt: skip
STORED = [*JAX, *ARRAYS, ARMIJO, HIGHS, MEHROTRA]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, no_drawings):
    folder = tmp_path_factory.mktemp("whole")
    reproduce(PROFILE, folder, [4], observe=quiet)
    return folder


def test_a_reproduction_and_its_archive(folder, tmp_path):
    assert keys(folder) == keys(str(folder)) == STORED
    pack(folder, tmp_path)
    assert pb.citation(tmp_path) == pb.citation(folder)
    assert keys(tmp_path, pb.mirror_descent) == [*JAX, *ARRAYS, ARMIJO, MIRROR, HIGHS, MEHROTRA]


def test_an_archive_of_limits_alone(folder, tmp_path):
    pack(folder, tmp_path)
    for name in ("runs", "trajectories"):
        path = tmp_path / f"{name}.parquet"
        write_table(path, pd.DataFrame({"key": pd.Series(dtype=str)}), read_metadata(path))
    assert keys(tmp_path) == [*ARRAYS, HIGHS, MEHROTRA]


@pytest.mark.parametrize(
    ("rule", "wanted"),
    [
        ("armijo", [*JAX, *ARRAYS, ARMIJO, HIGHS]),
        ("stable", [*JAX, *ARRAYS, HIGHS]),
        ("mirror", [*ARRAYS, MIRROR, HIGHS]),
        ("limit", [*ARRAYS, HIGHS, MEHROTRA]),
    ],
)
def test_a_sweep(rule, wanted, tmp_path):
    grid = tmp_path / "grid.toml"
    grid.write_text(f'm = 8\nn = 16\ns = 2\ntruth = "sparse"\nmax_steps = 20\nstep = "{rule}"\n')
    sweep(read_grid(grid), tmp_path / "out", observe=quiet)
    assert keys(tmp_path / "out") == wanted


def recorded(path, target, **versions):
    """Write a table anew, as if made with other versions."""
    metadata = read_metadata(path)
    write_table(target, pd.read_parquet(path), {**metadata, "versions": {**metadata["versions"], **versions}})


def test_versions_are_those_that_the_tables_record(folder, tmp_path):
    (tmp_path / "spec.json").write_bytes((folder / "spec.json").read_bytes())
    (tmp_path / "limits").mkdir()
    [plain, *_] = sorted((folder / "limits").iterdir())
    recorded(plain, tmp_path / "limits" / "a.parquet", polarbias="0.0.1", numpy="1.0")
    recorded(plain, tmp_path / "limits" / "b.parquet", polarbias="0.0.1", numpy="2.0", distributed="3.0")
    entries = parsed(pb.citation(tmp_path))
    assert list(entries) == [*GENERAL, *ARRAYS, DASK, HIGHS, MEHROTRA]
    assert entries["polarbias"]["note"] == "Version 0.0.1"
    assert entries["harris2020array"]["note"] == "Versions 1.0, 2.0"
    assert entries[DASK]["note"] == "Version 3.0"
    # What was used here as well has the versions that are here.
    assert f"Versions 0.0.1, {pb.__version__}" in pb.citation(tmp_path, pb.minimal_l2)


def test_folders_that_tell_nothing(folder, tmp_path):
    with pytest.raises(InvalidInput, match=r"there is no folder '.*nowhere'"):
        pb.citation(tmp_path / "nowhere")
    with pytest.raises(StoreMismatch, match=r"holds no results: there is no spec\.json in it"):
        pb.citation(tmp_path)
    (tmp_path / "spec.json").write_bytes((folder / "spec.json").read_bytes())
    with pytest.raises(StoreMismatch, match="holds no finished task yet"):
        pb.citation(tmp_path)
    (tmp_path / "runs").mkdir()
    [path, *_] = sorted((folder / "runs").iterdir())
    (tmp_path / "runs" / path.name).write_bytes(path.read_bytes()[:200])
    with pytest.raises(StoreMismatch, match=rf"{path.name} is damaged: "):
        pb.citation(tmp_path)
    pd.DataFrame({"step_rule": ["armijo"]}).to_parquet(tmp_path / "runs" / path.name)
    with pytest.raises(StoreMismatch, match=rf"{path.name} is damaged: "):
        pb.citation(tmp_path)


# The command


@pytest.mark.usefixtures("no_logging_set_up")
class TestCommand:
    def test_without_a_folder(self):
        assert call("cite").stdout == f"{pb.citation()}\n"
        assert call("cite", "--style", "text").stdout == f"{pb.citation(style='text')}\n"

    def test_a_run(self, tmp_path):
        sizes = ["--m", 8, "--n", 16, "--max-steps", 40, "--network", "plain", "--step", "0.001"]
        call("run", *sizes, "--out", tmp_path / "one")
        before = sorted((tmp_path / "one").rglob("*"))
        shown = call("cite", tmp_path / "one").stdout
        assert shown == f"{pb.citation(tmp_path / 'one')}\n"
        assert list(parsed(shown)) == [*GENERAL, *JAX, *ARRAYS, HIGHS]
        assert sorted((tmp_path / "one").rglob("*")) == before

    def test_output(self, folder, tmp_path):
        path = tmp_path / "references.bib"
        assert call("cite", folder, "--output", path).stdout == f"stored in {path}\n"
        assert path.read_text() == f"{pb.citation(folder)}\n"
        assert [found.name for found in tmp_path.iterdir()] == ["references.bib"]
        call("cite", "--style", "text", "--output", path)
        assert path.read_text() == f"{pb.citation(style='text')}\n"

    def test_what_is_refused(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        assert "does not exist" in call("cite", "nowhere", code=2).stderr
        (tmp_path / "file").touch()
        assert "is a file" in call("cite", "file", code=2).stderr
        assert "'bibtex', 'text'" in call("cite", "--style", "apa", code=2).stderr
        for option, words in (("none/x.bib", "there is no folder 'none'"), (".", "is a directory")):
            assert words in call("cite", "--output", option, code=2).stderr
        message = call("cite", ".", "--output", "x.bib", code=1).stderr
        assert message == "polarbias: . holds no results: there is no spec.json in it.\n"
        (tmp_path / "spec.json").write_text(json.dumps({"specification": {"schema": 1}, "plan": {}}))
        assert "schema version 1, this is version 2" in call("cite", ".", code=1).stderr
        assert {path.name for path in tmp_path.iterdir()} == {"file", "spec.json"}
