"""``polarbias explore``: the explorer in a browser."""

import ipaddress
import webbrowser

import click

from polarbias.cli.group import after_interruption, fail
from polarbias.cli.parameters import bad_parameter, integer
from polarbias.runtime.extras import require_extra


@click.command(epilog="Example: polarbias explore --port 5010 --no-browser")
@click.option("--address", default="127.0.0.1", help="Address to listen on; only this machine reaches the default.")
@click.option("--port", type=integer(0, 65535), default=5006, help="Port; 0 takes a free one.")
@click.option("--browser/--no-browser", default=True, help="Open the page in a browser.")
@click.option("--origin", multiple=True, metavar="HOST:PORT", help="Another name of the server in browsers.")
def explore(*, address: str, port: int, browser: bool, origin: tuple[str, ...]) -> None:
    """Explore exact limits, trajectories and bounds with sliders, in a browser.

    The address of the page holds its state, and every view exports a picture, its data and the Python lines that
    reproduce it. Needs the extra 'explore'. Ctrl-C stops the server.
    """
    after_interruption("; the server has stopped")
    try:
        loopback = address == "localhost" or ipaddress.ip_address(address).is_loopback
    except ValueError as reason:
        message = f"{address!r} is not an address; give 127.0.0.1 or another address of this machine."
        raise bad_parameter("--address", message) from reason
    require_extra("explore", "polarbias explore")
    from polarbias.explorer.server import serve

    if not loopback:
        click.echo(f"polarbias: everyone who can reach {address} can use this server.", err=True)

    def ready(url: str) -> None:
        click.echo(f"the explorer is at {url} (Ctrl-C stops it)")
        if browser:
            webbrowser.open(url)

    try:
        serve(address, port, ready, origin)
    except OSError as reason:
        fail(f"cannot listen on {address}:{port}: {reason}.")
