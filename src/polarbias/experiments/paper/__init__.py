"""Figures and statements of arXiv:2305.05448v1, computed, drawn and checked."""
