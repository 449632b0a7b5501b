"""Run the command line as ``python -m polarbias``."""

from polarbias.cli import main

if __name__ == "__main__":
    main()
