"""``polarbias explore``: addresses and ports that cannot be used."""

import socket

import pytest

from commands import call

pytestmark = pytest.mark.usefixtures("no_logging_set_up")


def test_taken_ports_and_wrong_addresses():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        message = call("explore", "--no-browser", "--port", port, code=1).stderr
    assert message.startswith(f"polarbias: cannot listen on 127.0.0.1:{port}: ")
    assert "'here' is not an address" in call("explore", "--no-browser", "--address", "here", code=2).stderr
    assert "from 0 to 65535" in call("explore", "--port", 99999, code=2).stderr


def test_a_warning_and_the_url(monkeypatch):
    served = []

    def serve(address, port, ready, origins):
        served.append((address, port, origins))
        ready("http://url/")

    monkeypatch.setattr("polarbias.explorer.server.serve", serve)
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    done = call("explore", "--address", "0.0.0.0", "--port", 7, "--origin", "name:7")
    assert "everyone who can reach 0.0.0.0 can use this server" in done.stderr
    assert done.stdout == "the explorer is at http://url/ (Ctrl-C stops it)\n"
    assert call("explore", "--no-browser", "--port", 7).stderr == ""
    assert served == [("0.0.0.0", 7, ("name:7",)), ("127.0.0.1", 7, ())]
    assert opened == ["http://url/"]
