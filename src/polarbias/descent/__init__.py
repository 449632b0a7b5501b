"""Gradient descent: step sizes, the compiled loop, and batches of runs on all cores or a GPU."""
