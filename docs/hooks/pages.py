"""Hooks of MkDocs: formulas without scripts, inequalities as text, tutorials run in empty folders."""

import logging
import os
import re
import tempfile
from posixpath import join, normpath

from markdown import Markdown
from markdown.extensions import Extension
from markdown.inlinepatterns import HtmlInlineProcessor
from mathml import formulas
from mkdocs.structure.toc import get_toc
from notebooks import as_page, is_notebook

log = logging.getLogger("mkdocs.polarbias")

ATTRIBUTE = r"""\s+[A-Za-z_:][\w:.-]*(?:\s*=\s*(?:"[^"]*"|'[^']*'|[^\s"'=<>`]+))?"""
TAG = rf"(<[A-Za-z][A-Za-z0-9-]*(?:{ATTRIBUTE})*\s*/?>|</[A-Za-z][A-Za-z0-9-]*\s*>|<!--.*?-->)"


class StrictTags(Extension):
    """HTML tags as in CommonMark: the brackets of <A u, b> are those of an inner product."""

    def extendMarkdown(self, md: Markdown) -> None:  # noqa: N802
        """Replace the pattern of inline tags."""
        md.inlinePatterns.register(HtmlInlineProcessor(TAG, md), "html", 90)


def on_config(config):
    """Add the extension, which a configuration file cannot name."""
    config.markdown_extensions.append(StrictTags())
    return config


def on_pre_page(page, config, files):
    """Run a tutorial in an empty folder, with inline figures in every environment."""
    if page.file.src_uri.endswith(".py"):
        render = page.render

        def in_empty_folder(*arguments):
            here, backend = os.getcwd(), os.environ.pop("MPLBACKEND", None)
            with tempfile.TemporaryDirectory(prefix="polarbias-site-") as folder:
                os.chdir(folder)
                try:
                    render(*arguments)
                finally:
                    os.chdir(here)
                    if backend is not None:
                        os.environ["MPLBACKEND"] = backend

        page.render = in_empty_folder
    return page


def on_page_content(html, page, config, files):
    """Turn formulas into MathML, and the cells of a tutorial into a page."""
    if is_notebook(html):
        html, headings = as_page(html, lambda href: _link(href, page, files))
        page.toc = get_toc(headings)
        return html
    return formulas(html)


def _link(href, page, files):
    """Return the address in the site of a source file that a tutorial links to."""
    path, mark, anchor = href.partition("#")
    if not path or re.match(r"[a-z]+:", path):
        return href
    target = files.get_file_from_path(normpath(join(page.file.src_uri, "..", path)))
    if target is None:
        log.warning("%s links to %s, which does not exist", page.file.src_uri, href)
        return href
    return target.url_relative_to(page.file) + mark + anchor
