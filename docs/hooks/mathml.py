"""TeX to MathML at build time, for pages without scripts and fonts."""

import contextlib
import re
import unicodedata
from html import escape, unescape
from xml.etree import ElementTree

from latex2mathml.converter import convert

NAMESPACE = "http://www.w3.org/1998/Math/MathML"

# Commands that latex2mathml does not support, or sets as operators with space on both sides.
SPELLINGS = {
    r"\begin{aligned}": r"\begin{align*}",
    r"\end{aligned}": r"\end{align*}",
    r"\lVert": "\ue000",
    r"\rVert": "\ue001",
    r"\lvert": "\ue002",
    r"\rvert": "\ue003",
    r"\langle": "\ue004",
    r"\rangle": "\ue005",
}
SIZED = "".join(rf"(?<!\\{size})" for size in ("left", "right", "big", "Big", "bigl", "bigr", "Bigl", "Bigr"))
SPELLED = re.compile(SIZED + "(?:" + "|".join(map(re.escape, SPELLINGS)) + ")(?:(?<=})|(?![A-Za-z]))")
FENCES = {
    "\ue000": ("‖", "prefix"),
    "\ue001": ("‖", "postfix"),
    "\ue002": ("|", "prefix"),
    "\ue003": ("|", "postfix"),
    "\ue004": ("⟨", "prefix"),
    "\ue005": ("⟩", "postfix"),
}
SIZED_FENCES = {r"\{": "{", r"\}": "}", r"\|": "‖"}

# Browsers render the letters of these alphabets, and ignore the attribute mathvariant.
ALPHABETS = {
    "bold": ("BOLD",),
    "bold-italic": ("BOLD ITALIC", "BOLD"),
    "double-struck": ("DOUBLE-STRUCK",),
    "fraktur": ("FRAKTUR", "BLACK-LETTER"),
    "script": ("SCRIPT",),
}


class NoFormula(ValueError):
    """TeX that cannot be converted."""


def _letter(character: str, alphabet: str) -> str:
    """Return the character of an alphabet, by its name in Unicode; some are not among the mathematical letters."""
    name = re.sub(r"LATIN |GREEK |LETTER ", "", unicodedata.name(character, ""))
    for style in ALPHABETS[alphabet]:
        for full in (f"MATHEMATICAL {style} {name}", f"{style} {name}"):
            with contextlib.suppress(KeyError):
                return unicodedata.lookup(full)
    return character


def _settle(element: ElementTree.Element) -> None:
    """Set the form of fences, the alphabet of letters, and the space around words such as log."""
    text = element.text or ""
    if text in FENCES:
        element.tag, element.text = "mo", FENCES[text][0]
        element.attrib = {"form": FENCES[text][1], "stretchy": "false", "fence": "true"}
    elif (alphabet := element.get("mathvariant")) in ALPHABETS:
        del element.attrib["mathvariant"]
        element.text = "".join(_letter(character, alphabet) for character in text)
    if element.tag == "mtext":
        element.text = text.replace(r"\_", "_")
    elif text in SIZED_FENCES:
        element.text = SIZED_FENCES[text]
    elif text == ":":
        element.tag = "mo"
        element.attrib |= {"lspace": "0.278em", "rspace": "0.278em"}
    for child in element:
        _settle(child)
    if element.tag == "mrow" and len(element) > 1 and all(child.get("mathvariant") == "normal" for child in element):
        word = "".join(child.text or "" for child in element)
        element.clear()
        element.tag, element.text = "mo", word
    if element.tag in ("mrow", "math", "mtd"):
        _set_words_apart(list(element))


def _core(element: ElementTree.Element) -> ElementTree.Element:
    return _core(element[0]) if element.tag in ("msub", "msup", "msubsup", "munder") and len(element) else element


def _set_words_apart(row: list[ElementTree.Element]) -> None:
    """Set thin spaces around words, but none before a bracket."""
    for place, child in enumerate(row):
        core = _core(child)
        if core.tag in ("mi", "mo") and len(core.text or "") > 1 and core.text.replace(" ", "").isalpha():
            following = _core(row[place + 1]) if place + 1 < len(row) else None
            apart = following is not None and following.text not in ("(", "[", "{")
            core.tag = "mo"
            core.set("lspace", "0.167em" if place else "0")
            core.set("rspace", "0.167em" if apart else "0")


def mathml(tex: str, block: bool = False) -> str:
    """Return the formula as a math element; raise `NoFormula` if a part of it cannot be converted."""
    source = re.sub(r"\\operatorname\*\{([^}]*)\}", _with_limits, tex.strip())
    source = SPELLED.sub(lambda match: SPELLINGS[match[0]], source)
    if source.count("{") - source.count(r"\{") != source.count("}") - source.count(r"\}"):
        raise NoFormula(f"unbalanced braces in {tex!r}")
    try:
        markup = convert(source, display="block" if block else "inline")
        root = ElementTree.fromstring(re.sub(r"&(?!#|\w+;)", "&amp;", markup).replace(f' xmlns="{NAMESPACE}"', ""))
    except Exception as failure:
        raise NoFormula(f"{tex!r}: {failure!r}") from failure
    _settle(root)
    for leaf in root.iter():
        text = leaf.text or ""
        if "\\" in text or text == "&" or (leaf.tag == "mo" and not text.strip()):
            raise NoFormula(f"{text!r} is left over in {tex!r}")
    return ElementTree.tostring(root, encoding="unicode")


def _with_limits(match: re.Match[str]) -> str:
    return rf"\operatorname{{{match[1]}}}".replace(r"\,", " ")


def formula(tex: str, block: bool = False) -> str:
    """Return the math element in its container on a page, excluded from search."""
    tag = "div" if block else "span"
    return f'<{tag} class="formula" data-search-exclude>{mathml(tex, block)}</{tag}>'


def formulas(html: str) -> str:
    """Replace the formulas of pymdownx.arithmatex by math elements."""

    def inline(match: re.Match[str]) -> str:
        return formula(unescape(match[1]))

    def block(match: re.Match[str]) -> str:
        return formula(unescape(match[1]), block=True)

    html = re.sub(r'<span class="arithmatex">\\\((.*?)\\\)</span>', inline, html, flags=re.DOTALL)
    return re.sub(r'<div class="arithmatex">\s*\\\[(.*?)\\\]\s*</div>', block, html, flags=re.DOTALL)


def formulas_in_text(text: str) -> str | None:
    """Return text with dollar formulas as HTML; None if it has none."""
    parts = re.split(r"\$\$(.+?)\$\$|\$(?!\s)([^$]+?)(?<!\s)\$(?!\d)", text, flags=re.DOTALL)
    if len(parts) == 1:
        return None
    html = escape(parts[0], quote=False)
    for shown, within, after in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
        html += (formula(within) if shown is None else formula(shown, block=True)) + escape(after, quote=False)
    return html
