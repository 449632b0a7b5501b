"""Server of the explorer: one process, one page per visitor."""

import socket
from collections.abc import Callable

import panel as pn
from threadpoolctl import threadpool_limits

from polarbias.explorer import results
from polarbias.explorer.page import Page
from polarbias.explorer.settings import Settings


def serve(address: str, port: int, ready: Callable[[str], None], origins: tuple[str, ...] = ()) -> None:
    """Serve pages until interrupted, and call ``ready`` with their URL once the server listens.

    Port 0 takes a free one; ``origins`` are other names HOST:PORT of the server in browsers. `OSError` means that the
    port is in use or that the address is not this machine's.
    """
    port = free_port(address, port)
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
            websocket_origin=[f"{address}:{port}", f"localhost:{port}", *origins],
        )
        results.limits(Settings())  # so that the first visit finds it in the cache
        server.start()
        ready(f"http://{f'[{address}]' if ':' in address else address}:{port}/")
        server.io_loop.start()


def free_port(address: str, port: int) -> int:
    """Return the port, or a free one for 0: the allowed origins contain its number."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, port), family=family) as listening:
        return int(listening.getsockname()[1])
