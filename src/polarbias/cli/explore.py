"""``polarbias explore``: the explorer in a browser."""

from __future__ import annotations

import ipaddress
import webbrowser

import click

from polarbias.cli.group import EXIT_FAILED, after_interruption
from polarbias.cli.parameters import Integer, wrong


@click.command(epilog="Example: polarbias explore --port 5010 --no-browser")
@click.option(
    "--address",
    default="127.0.0.1",
    show_default=True,
    help="Where to listen; this machine alone can reach the default.",
)
@click.option("--port", type=Integer(0, 65535), default=5006, show_default=True, help="Port; 0 takes a free one.")
@click.option("--browser/--no-browser", default=True, show_default=True, help="Open the page in a browser.")
@click.option(
    "--origin", multiple=True, metavar="HOST:PORT", help="Name under which browsers reach the server, if another."
)
def explore(*, address: str, port: int, browser: bool, origin: tuple[str, ...]) -> None:
    """Explore exact limits, courses and bounds with sliders, in a browser.

    The state of the page is in its address, and every view exports a picture, its data and the Python lines that
    reproduce it. Needs the extra 'explore'. Ctrl-C ends the server.
    """
    after_interruption("; the server has ended")
    try:
        loopback = address == "localhost" or ipaddress.ip_address(address).is_loopback
    except ValueError as reason:
        raise wrong("--address", f"{address!r} is not an address; give 127.0.0.1 or one of this machine's.") from reason
    try:
        from polarbias.explorer.server import serve
    except ModuleNotFoundError as missing:
        if missing.name not in ("panel", "bokeh"):
            raise
        click.echo("polarbias: the explorer needs Panel: pip install 'polarbias[explore]'.", err=True)
        click.get_current_context().exit(EXIT_FAILED)
    if not loopback:
        click.echo(f"polarbias: everyone who can reach {address} can use this server.", err=True)

    def ready(url: str) -> None:
        click.echo(f"the explorer is at {url} (Ctrl-C ends it)")
        if browser:
            webbrowser.open(url)

    try:
        serve(address, port, ready, origin)
    except OSError as reason:
        click.echo(f"polarbias: cannot listen on {address}:{port}: {reason}.", err=True)
        click.get_current_context().exit(EXIT_FAILED)
