"""Options of the commands that compute and store tasks, and the preparation of their work."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from polarbias.cli.group import after_interruption
from polarbias.cli.parameters import shortened


def _cluster(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    if value is not None and not re.fullmatch(r"local(:[1-9]\d*)?|tcp://(\[[^\]]+\]|[^\s:/]+):\d+", value):
        raise click.BadParameter(
            f"{shortened(value)} is not allowed; give local, local:N for N processes, or a scheduler as"
            " tcp://HOST:PORT."
        )
    return value


CLUSTER = click.option(
    "--dask",
    "cluster",
    callback=_cluster,
    metavar="local[:N]|tcp://HOST:PORT",
    help="Compute on several workers: N local processes (default: one per core), or those of a Dask scheduler.",
)
DEVICE = click.option(
    "--device",
    type=click.Choice(["cpu", "gpu"]),
    default="cpu",
    help="Device of gradient descent. A GPU needs the JAX package for it.",
)
FORCE = click.option("--force", is_flag=True, help="Overwrite existing results in the folder.")


def require_paper() -> None:
    """Raise `MissingExtra` for this command unless the extra ``paper`` is installed."""
    from polarbias.runtime.extras import require_extra

    require_extra("paper", f"polarbias {click.get_current_context().info_name}")


@contextmanager
def execution(force: bool, device: str, cluster: str | None = None) -> Iterator[dict[str, Any]]:
    """Yield the arguments of a function that computes tasks, for this terminal, device and cluster."""
    kept = "finished tasks and checkpoints" if cluster is None else "finished tasks"
    after_interruption(f"; {kept} are kept, the same command {'without --force ' * force}resumes")
    from rich.console import Console

    from polarbias.descent.device import use_device
    from polarbias.experiments.engine.progress import terminal_observer

    console, backend = Console(stderr=True), None
    if cluster is not None:
        from polarbias.experiments.engine.cluster import DaskBackend

        backend = DaskBackend(cluster, device=device)
    with use_device(device if cluster is None else "cpu"):
        yield {"observe": lambda tasks: terminal_observer(console, tasks), "force": force, "backend": backend}
