"""The server listens on this machine alone and refuses pages of another origin."""

import socket
from urllib.parse import urlsplit

import psutil
import pytest

from polarbias.explorer.server import free_port


def test_the_address_and_the_origin(url):
    port = urlsplit(url).port
    ours = [one for one in psutil.net_connections() if one.laddr.port == port and one.status == "LISTEN"]
    assert {one.laddr.ip for one in ours} == {"127.0.0.1"}
    lines = [
        "GET /ws HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        "Origin: http://elsewhere.example",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
    ]
    with socket.create_connection(("127.0.0.1", port)) as raw:
        raw.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        assert b" 403 " in raw.recv(200)


def test_ports():
    with socket.create_server(("127.0.0.1", 0)) as listening, pytest.raises(OSError, match="in use"):
        free_port("127.0.0.1", listening.getsockname()[1])
    free = free_port("127.0.0.1", 0)
    assert free_port("127.0.0.1", free) == free > 0
