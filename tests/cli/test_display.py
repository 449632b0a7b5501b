"""Plain tables."""

from polarbias.cli import display


def test_tables_are_aligned_and_wrapped(capsys):
    display.show_values({"a": "1", "long": "2"})
    display.show_table(("n", "text"), [("1", "some words here"), ("200", "")], (3, 10))
    lines = ["a      1", "long   2", "n    text", "---  ----------", "1    some words", "     here", "200"]
    assert capsys.readouterr().out.splitlines() == lines
