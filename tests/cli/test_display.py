"""Plain tables and sentences."""

from polarbias.cli import display


def test_tables_are_aligned_and_wrapped(capsys):
    display.show_values([("a", "1"), ("long", "2")])
    display.show_table(("n", "text"), [("1", "some words here"), ("200", "")], (3, 10))
    assert capsys.readouterr().out.splitlines() == [
        "a      1",
        "long   2",
        "n    text",
        "---  ----------",
        "1    some words",
        "     here",
        "200",
    ]


def test_the_message_after_an_interruption():
    assert display.resumption(force=False) == "; finished tasks and checkpoints are kept, the same command resumes"
    assert display.resumption(True, "local") == "; finished tasks are kept, the same command without --force resumes"
