"""``polarbias explore``: addresses and ports that cannot be used."""

from commands import call


def test_ports_addresses_and_the_url(monkeypatch):
    served, opened = [], []

    def serve(address, port, ready, origins):
        if port == 1:
            raise OSError("taken")
        served.append((address, port, origins))
        ready("http://url/")

    monkeypatch.setattr("polarbias.explorer.server.serve", serve)
    monkeypatch.setattr("webbrowser.open", opened.append)
    done = call("explore", "--address", "0.0.0.0", "--port", 7, "--origin", "name:7")
    assert "everyone who can reach 0.0.0.0 can use this server" in done.stderr
    assert done.stdout == "the explorer is at http://url/ (Ctrl-C stops it)\n"
    assert call("explore", "--no-browser", "--port", 7).stderr == ""
    assert served == [("0.0.0.0", 7, ("name:7",)), ("127.0.0.1", 7, ())]
    assert opened == ["http://url/"]
    assert call("explore", "--port", 1, code=1).stderr == "polarbias: cannot listen on 127.0.0.1:1: taken.\n"
    assert "'here' is not an address" in call("explore", "--address", "here", code=2).stderr
    assert "from 0 to 65535" in call("explore", "--port", 99999, code=2).stderr
