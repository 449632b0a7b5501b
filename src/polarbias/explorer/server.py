"""The explorer's server: one process, a page for each visitor."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import panel as pn
from threadpoolctl import threadpool_limits

from polarbias.explorer import views
from polarbias.explorer.page import Page
from polarbias.explorer.settings import Settings


def serve(address: str, port: int, ready: Callable[[str], None], origins: tuple[str, ...] = ()) -> Any:
    """Serve pages until interrupted.

    Parameters
    ----------
    address, port
        Where to listen; port 0 takes a free one.
    ready
        Called with the page's URL once it is served.
    origins
        Further HOST:PORT under which browsers may reach the server.

    Raises
    ------
    OSError
        The port is in use or the address is not this machine's.
    """
    port = _free(address, port)
    pn.extension()
    # Matrices are small, and threads that wait for each other would make a slider stutter.
    with threadpool_limits(1, user_api="blas"):
        server = pn.serve(
            {"/": lambda: Page().served()},
            address=address,
            port=port,
            title="polarbias explorer",
            show=False,
            start=False,
            verbose=False,
            websocket_origin=[*_own(address, port), *origins],
        )
        views.limits(Settings())
        server.start()
        ready(f"http://{f'[{address}]' if ':' in address else address}:{server.port}/")
        server.io_loop.start()


def _own(address: str, port: int) -> list[str]:
    return [f"{host}:{port}" for host in dict.fromkeys((address, "localhost"))]


def _free(address: str, port: int) -> int:
    """Return the port, or one that nothing listens on for 0: the server checks browsers' origins by its number."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, port), family=family) as listening:
        return int(listening.getsockname()[1])
