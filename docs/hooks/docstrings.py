"""Docstrings as Markdown: formulas of Sphinx, and links for names in single backticks."""

import ast
import importlib
import re
import sys

import griffe

HOMES = ("polarbias", "polarbias.theory", "polarbias.estimator")
BLOCK = re.compile(r"^( *)\.\. math::(.*)\n((?:(?:\1 +\S.*)?\n)*)", re.MULTILINE)
TERM = re.compile(r"^( +)(``[^`\n]+``(?:, ``[^`\n]+``)*)\n\1 {4}(?=\S)", re.MULTILINE)
SHARED = re.compile(r"^(\w+(?:, \w+)+)\n((?: {4}.*\n|\n(?= {4}))+)", re.MULTILINE)
NAME = re.compile(r"(?<![`\w\[])`([A-Za-z_][\w.]*)(\(\))?`(?!`)")


def public() -> dict[str, str]:
    """Return the documented names, each with its full name."""
    found = {}
    for home in HOMES:
        module = importlib.import_module(home)
        names = getattr(module, "__all__", None) or [
            name for name, value in vars(module).items() if getattr(value, "__module__", "") == home and name[0] != "_"
        ]
        for name in names:
            # A module can have the name of the object, so the path must be that of its own module.
            path = f"{home}.{name}"
            path = f"{getattr(module, name).__module__}.{name}" if path in sys.modules else path
            found.setdefault(name, path)
            found[f"{home}.{name}"] = path
    return found


def as_markdown(text: str) -> str:
    """Return text with formulas between dollars and definitions as lists."""

    def block(match: re.Match[str]) -> str:
        indent, first, rest = match.groups()
        lines = [line.strip() for line in (first, *rest.splitlines()) if line.strip()]
        return f"{indent}$$\n" + "".join(f"{indent}{line}\n" for line in lines) + f"{indent}$$\n\n"

    text = BLOCK.sub(block, text if text.endswith("\n") else text + "\n")
    text = re.sub(r":math:`([^`]+)`", lambda match: f"${' '.join(match[1].split())}$", text)
    text = TERM.sub(r"\1- \2: ", text)
    # In an entry of several names only the first would get the type.
    return SHARED.sub(lambda match: "".join(f"{name}\n{match[2]}" for name in match[1].split(", ")), text)


def _message(obj: griffe.Object) -> str:
    """Return the message of a member of an enumeration."""
    try:
        value = ast.literal_eval(str(obj.value))
    except (SyntaxError, ValueError):
        return ""
    return value[1] if isinstance(value, tuple) and list(map(type, value)) == [int, str] else ""


class Markdown(griffe.Extension):
    """Conversion of every docstring of the package before its sections are parsed."""

    def __init__(self) -> None:
        """Store the public names."""
        self.names = public()

    def on_instance(self, *, obj: griffe.Object, **_: object) -> None:
        """Convert one docstring; the docstring of a class documents its constructor."""
        if obj.name == "__init__":
            obj.docstring = None
        if obj.is_attribute and obj.docstring is None and (message := _message(obj)):
            obj.docstring = griffe.Docstring(message, parent=obj)
        if obj.docstring is not None:
            own = {obj.name, obj.path}
            obj.docstring.value = NAME.sub(lambda match: self._reference(match, own), as_markdown(obj.docstring.value))

    def _reference(self, match: re.Match[str], own: set[str]) -> str:
        name, call = match[1], match[2] or ""
        short = name.removeprefix("polarbias.")
        if name in own or name not in self.names:
            return match[0]
        return f"[`{short}{call}`][{self.names[name]}]"
