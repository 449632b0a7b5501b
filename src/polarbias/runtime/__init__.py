"""Option checks, arrays, pytrees, batch axes, optional dependencies, atomic files and interrupts."""
