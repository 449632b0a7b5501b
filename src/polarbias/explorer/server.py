"""Server of the explorer: one process, one page per visitor."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import panel as pn
from threadpoolctl import threadpool_limits

from polarbias.explorer import results
from polarbias.explorer.page import Page
from polarbias.explorer.settings import Settings


def serve(address: str, port: int, ready: Callable[[str], None], origins: tuple[str, ...] = ()) -> Any:
    """Serve pages until interrupted.

    Parameters
    ----------
    address, port
        Address and port to listen on; port 0 takes a free one.
    ready
        Function that is called with the URL of the page once the server listens.
    origins
        Other names HOST:PORT of the server in browsers.

    Raises
    ------
    OSError
        The port is in use or the address is not this machine's.
    """
    port = _free(address, port)
    pn.extension()
    # Several BLAS threads are slower on matrices of this size.
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
        results.limits(Settings())  # so that the first visit finds it in the cache
        server.start()
        ready(f"http://{f'[{address}]' if ':' in address else address}:{server.port}/")
        server.io_loop.start()


def _own(address: str, port: int) -> list[str]:
    return [f"{host}:{port}" for host in dict.fromkeys((address, "localhost"))]


def _free(address: str, port: int) -> int:
    """Return the port, or a free one for 0: the allowed origins contain its number."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, port), family=family) as listening:
        return int(listening.getsockname()[1])
