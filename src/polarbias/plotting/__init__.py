"""Plots of tables by matplotlib, and the styles of all series."""
