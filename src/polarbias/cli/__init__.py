"""The command line: one module per command, which imports its dependencies when the command is called."""

from polarbias.cli.cite import cite
from polarbias.cli.explore import explore
from polarbias.cli.group import main
from polarbias.cli.limit import limit
from polarbias.cli.pack import pack
from polarbias.cli.plot import plot
from polarbias.cli.report import report
from polarbias.cli.reproduce import reproduce
from polarbias.cli.run import run
from polarbias.cli.solve import solve
from polarbias.cli.sweep import sweep
from polarbias.cli.verify import verify

for command in (reproduce, run, sweep, plot, report, pack, limit, solve, verify, explore, cite):
    main.add_command(command)

__all__ = ["main"]
