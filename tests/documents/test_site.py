"""The documentation site: every page linked, every public name documented, nothing from other servers."""

import re
import runpy
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml

import polarbias as pb
from commands import process
from polarbias import estimator, theory
from repository import ROOT

DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
TUTORIALS = sorted((DOCS / "tutorials").glob("*.py"))
TEXTS = [ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "benchmarks" / "README.md", *PAGES, *TUTORIALS]
CONFIGURATION = yaml.safe_load((ROOT / "mkdocs.yml").read_text())


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("owner", [pb, theory, estimator], ids=lambda owner: owner.__name__)
def test_every_public_name_is_on_a_page_of_the_reference(owner):
    shown = {name for page in PAGES for name in re.findall(r"^::: polarbias\.(\S+)$", page.read_text(), re.MULTILINE)}
    ours = [name for name, value in vars(owner).items() if getattr(value, "__module__", "") == owner.__name__]
    package = owner.__name__.removeprefix("polarbias").lstrip(".")
    for name in getattr(owner, "__all__", [name for name in ours if not name.startswith("_")]):
        # A module on a page brings its contents; a function in a module of its name has the module's before it.
        full = f"{package}.{name}".lstrip(".")
        assert shown & {full, f"{full}.{name}", package}, full


def test_the_navigation_has_every_page_once():
    there = sorted(str(path.relative_to(DOCS)) for path in [*PAGES, *TUTORIALS])
    assert sorted(re.findall(r"[\w/-]+\.(?:md|py)", str(CONFIGURATION["nav"]))) == there


def markdown_of(path: Path) -> str:
    """Return a page, or the text cells of a tutorial, without code."""
    text = path.read_text()
    if path.suffix == ".py":
        cells = re.findall(r"^# %% \[markdown\].*\n((?:#.*\n)+)", text, re.MULTILINE)
        text = "\n\n".join(re.sub(r"^# ?", "", cell, flags=re.MULTILINE) for cell in cells)
    text = re.sub(r"^( *)(`{3,}).*?^\1\2 *$", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.sub(
        r"(`+)(?!`).*?(?<!`)\1(?!`)", lambda code: code[0].strip("`").replace("](", ""), text, flags=re.DOTALL
    )


def anchors(path: Path) -> set[str]:
    """Return the anchors of headings and documented names."""
    found = set(re.findall(r"^::: (\S+)$", path.read_text(), re.MULTILINE))
    for heading in re.findall(r"^#{1,6} +(.+?) *$", markdown_of(path), re.MULTILINE):
        plain = re.sub(r"[^\w\s-]", "", re.sub(r"\]\([^)]*\)", "", heading)).strip().lower()
        found |= {re.sub(r"[\s-]+", "-", plain), re.sub(r"\s", "-", plain)}
    return found


def on_site(path: Path) -> bool:
    left_out = [DOCS / folder.strip("/") for folder in CONFIGURATION["exclude_docs"].split()]
    return path.is_file() and path.is_relative_to(DOCS) and not any(map(path.is_relative_to, left_out))


@pytest.mark.parametrize("path", TEXTS, ids=name_of)
def test_links_between_files_resolve(path):
    wrong = []
    for link in re.findall(r"\]\(<?([^)\s>]+)>?(?: \"[^\"]*\")?\)", markdown_of(path)):
        place, _, anchor = link.partition("#")
        if re.match(r"[a-z]+:", link):
            continue
        target = (path.parent / unquote(place)).resolve() if place else path
        # A page of the site can link to nothing but files that are on the site.
        there = on_site(target) if path.is_relative_to(DOCS) else target.exists()
        if not there or (anchor and anchor not in anchors(target)):
            wrong.append(link)
    assert not wrong


def test_tables_of_statements_are_what_the_code_says():
    made = runpy.run_path(str(DOCS / "hooks" / "statements.py"))
    text = made["PAGE"].read_text()
    assert made["page"](text) == text, "run `python docs/hooks/statements.py --write`"


def test_architecture_lists_every_layer():
    layers = re.search(r"^layers = \[(.*?)^\]", (ROOT / "pyproject.toml").read_text(), re.MULTILINE | re.DOTALL)
    assert set(re.findall(r"\w+", layers[1])) <= set(re.findall(r"`(\w+)`", (DOCS / "architecture.md").read_text()))


@pytest.mark.full
@pytest.mark.parametrize("path", TUTORIALS, ids=name_of)
def test_tutorials_run_as_scripts_in_an_empty_folder(path, tmp_path):
    done = process("-W", "error:::__main__", path, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def elsewhere(address: str) -> bool:
    return address.startswith("//") or urlsplit(address).scheme not in ("", "data")


LINKS = "a, [rel=canonical], [rel=next], [rel=prev]"
"""Elements with addresses that a browser does not fetch without a click."""

FOREIGN_STYLE = re.compile(r"@import|url\(\s*['\"]?(?:[a-z]+:)?//", re.IGNORECASE)
TEX = re.compile(r":math:|\.\. math::|\\[()\[\]]|\\[A-Za-z]{2,}|\$\$|\$\\")


# One test, because workers of pytest-xdist would build it each for themselves. `--strict` checks links and names.
@pytest.mark.full
def test_the_site(tmp_path):
    pytest.importorskip("mkdocs", reason="`make test-full` installs what the site is made with")
    from bs4 import BeautifulSoup

    site = tmp_path / "site"
    done = process("-m", "mkdocs", "build", "--strict", "--site-dir", site, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > len(PAGES)
    for path in pages:
        name, page = path.relative_to(site), BeautifulSoup(path.read_text(), "html.parser")
        loaded = [tag[key] for key in ("href", "src", "data", "poster") for tag in page.select(f"[{key}]:not({LINKS})")]
        loaded += [part.split()[0] for tag in page.select("[srcset]") for part in tag["srcset"].split(",")]
        assert not [address for address in loaded if elsewhere(address)], name
        styles = [tag.text for tag in page("style")] + [tag["style"] for tag in page.select("[style]")]
        assert not FOREIGN_STYLE.search(";".join(styles)), name
        assert not page.select(".mermaid"), f"{name}: the theme would fetch the library that draws it"
        assert "Traceback (most recent call last)" not in page.text, name
        assert page.select(".output") or path.parent.name != "tutorials", name
        for tag in page(["pre", "code", "math"]):
            tag.decompose()
        assert not TEX.findall(page.text), name
    for path in site.rglob("*.css"):
        assert not FOREIGN_STYLE.search(path.read_text()), path.name
    assert "math" in (site / "mathematics.html").read_text()


@pytest.mark.full
@pytest.mark.parametrize("tex", [r"\unknown x", r"\frac{1}{2", "a & b", r"\left( x"])
def test_formulas_that_are_not_understood_end_the_build(tex, monkeypatch):
    pytest.importorskip("latex2mathml")
    monkeypatch.syspath_prepend(str(DOCS / "hooks"))
    from mathml import NoFormula, mathml

    with pytest.raises(NoFormula):
        mathml(tex)
    assert "<mi>x</mi>" in mathml("x^2")
