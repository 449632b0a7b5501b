"""Executed tutorials in the style of other pages: code blocks, MathML and links.

mkdocs-jupyter adds half a megabyte of styles, and scripts of other servers, to each page; only its cells are used.
"""

import re
from collections.abc import Callable
from html import escape
from typing import Any

from bs4 import BeautifulSoup, Tag
from mathml import formulas_in_text

WRAPPER = '<div class="jupyter-wrapper">'


class FailedCell(RuntimeError):
    """A cell wrote to standard error."""


def is_notebook(html: str) -> bool:
    """Return True for a page of mkdocs-jupyter."""
    return WRAPPER in html


def as_page(html: str, link: Callable[[str], str]) -> tuple[str, list[dict[str, Any]]]:
    """Return the cells as the content of a page, and its headings; ``link`` translates links between source files."""
    soup = BeautifulSoup(html[html.index(WRAPPER) :], "html.parser")
    parts = []
    for cell in soup.select(".jp-Cell:not(.jp-Cell .jp-Cell)"):
        if "jp-MarkdownCell" in cell["class"]:
            parts.append(_text(cell.select_one(".jp-RenderedMarkdown"), link))
            continue
        code = cell.select_one(".highlight-ipynb pre")
        if code is not None and code.get_text().strip():
            parts.append(f'<div class="highlight"><pre><code>{code.decode_contents().strip()}\n</code></pre></div>')
        parts += [_output(output) for output in cell.select(".jp-OutputArea-output")]
    return "\n".join(parts), _headings(soup)


def _headings(soup: BeautifulSoup) -> list[dict[str, Any]]:
    """Return the headings as a tree like that of Python-Markdown; mkdocs-jupyter's own omits code in headings."""
    root: dict[str, Any] = {"level": 0, "children": []}
    above = [root]
    for heading in soup.select(".jp-RenderedMarkdown :is(h1, h2, h3)"):
        name = heading.get_text().removesuffix("¶").strip()
        level = int(heading.name[1])
        while above[-1]["level"] >= level:
            above.pop()
        above[-1]["children"].append({"level": level, "id": heading["id"], "name": name, "children": []})
        above.append(above[-1]["children"][-1])
    return root["children"]


def _text(cell: Tag, link: Callable[[str], str]) -> str:
    for anchor in cell.select("a.anchor-link"):
        anchor["class"], anchor["title"] = "headerlink", "Permanent link"
    for anchor in cell.select("a[href]:not(.headerlink)"):
        anchor["href"] = link(anchor["href"])
    for image in cell.select("img[src]"):
        image["src"] = link(image["src"])
    for string in list(cell.find_all(string=re.compile(r"\$"))):
        if string.find_parent(["code", "pre"]) is None and (found := formulas_in_text(str(string))) is not None:
            string.replace_with(BeautifulSoup(found, "html.parser"))
    return cell.decode_contents()


def _output(output: Tag) -> str:
    if output.get("data-mime-type") == "application/vnd.jupyter.stderr":
        raise FailedCell(output.get_text())
    if "jp-RenderedText" in output["class"]:
        text = escape(output.get_text().strip("\n"), quote=False)
        return f'<div class="highlight no-copy output"><pre><code>{text}\n</code></pre></div>'
    for image in output.select("img"):
        image.attrs = {"src": image["src"], "alt": "Figure of the code above"}
    for style in output.select("style"):
        style.decompose()
    for table in output.select("table"):
        table.attrs = {}
    return f'<div class="output">{output.decode_contents().strip()}</div>'
