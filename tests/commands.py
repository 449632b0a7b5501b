"""Calls of the command line: in this process, or in one of their own."""

import json
import subprocess
import sys

from click.testing import CliRunner

from polarbias.cli import main


def call(*arguments, code=0):
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    assert "unexpected error" not in result.stderr
    return result


def call_json(*arguments, code=0):
    """Return the only object on stdout."""
    return json.loads(call(*arguments, "--json", code=code).stdout)


def process(*arguments, **options):
    return subprocess.run([sys.executable, *map(str, arguments)], capture_output=True, text=True, **options)
