#!/usr/bin/env -S uv run --script
# /// script
# dependencies = ["nox>=2024.4.15"]
# ///
"""Targets of the Makefile as nox sessions; each target makes the environment that it needs."""

import nox

nox.needs_version = ">=2024.4.15"
nox.options.default_venv_backend = "none"


@nox.session
def test(session: nox.Session) -> None:
    """Run lint, tests and the wheel check."""
    session.run("make", "test", *session.posargs)


@nox.session(default=False)
@nox.parametrize("target", ["lint", "test-min", "test-full", "wheel", "dist", "site", "reproduce"])
def make(session: nox.Session, target: str) -> None:
    """Run another target, as in ``nox -s "make(target='site')"``."""
    session.run("make", target, *session.posargs)


if __name__ == "__main__":
    nox.main()
