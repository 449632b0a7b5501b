"""Services of long computations: files written atomically, interrupts, batch axes, option checks."""
