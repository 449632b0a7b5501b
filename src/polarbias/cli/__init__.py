"""The command line: one module per command, which imports its dependencies when the command is called."""

from polarbias.cli.cite import cite
from polarbias.cli.explore import explore
from polarbias.cli.figures import pack, plot, report, reproduce
from polarbias.cli.group import main
from polarbias.cli.limit import limit
from polarbias.cli.run import run
from polarbias.cli.solve import solve
from polarbias.cli.sweep import sweep
from polarbias.cli.verify import verify

for command in (reproduce, run, sweep, plot, report, pack, limit, solve, verify, explore, cite):
    main.add_command(command)

__all__ = ["main"]
