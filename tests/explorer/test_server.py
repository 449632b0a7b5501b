"""The server listens on this machine alone and refuses pages of another origin."""

import socket
from contextlib import closing
from http.client import HTTPConnection
from urllib.parse import urlsplit

import psutil
import pytest

from polarbias.explorer.server import free_port


def test_the_address_and_the_origin(url):
    port = urlsplit(url).port
    ours = [one for one in psutil.net_connections() if one.laddr.port == port and one.status == "LISTEN"]
    assert {one.laddr.ip for one in ours} == {"127.0.0.1"}
    key = {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version": "13"}
    headers = {"Upgrade": "websocket", "Connection": "Upgrade", **key}
    for origin, status in (("http://elsewhere.example", 403), (url.rstrip("/"), 101)):
        with closing(HTTPConnection("127.0.0.1", port)) as connection:
            connection.request("GET", "/ws", headers={**headers, "Origin": origin})
            assert connection.getresponse().status == status


def test_ports():
    with socket.create_server(("127.0.0.1", 0)) as listening, pytest.raises(OSError, match="in use"):
        free_port("127.0.0.1", listening.getsockname()[1])
    free = free_port("127.0.0.1", 0)
    assert free_port("127.0.0.1", free) == free > 0
