"""Panels drawn with matplotlib from tables, and the styles of all series."""
