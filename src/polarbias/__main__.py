"""Run the command line: ``polarbias``, or ``python -m polarbias``."""

import sys


def main() -> None:
    """Run the command line; Ctrl-C during its imports prints one line too."""
    try:
        import signal

        from polarbias.runtime.interrupts import handle_ctrl_c

        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # a background job ignores the signal
            signal.signal(signal.SIGINT, handle_ctrl_c)
        from polarbias.cli import main as commands

        commands()
    except KeyboardInterrupt:
        sys.stderr.write("polarbias: interrupted.\n")
        sys.exit(130)


if __name__ == "__main__":
    main()
