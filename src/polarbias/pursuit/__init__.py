"""Minimal l1 norms: basis pursuit, with a certificate for every answer."""

from polarbias.pursuit.result import Pursuit, PursuitProgress, PursuitStatus
from polarbias.pursuit.solve import basis_pursuit, basis_pursuit_denoise

__all__ = ["Pursuit", "PursuitProgress", "PursuitStatus", "basis_pursuit", "basis_pursuit_denoise"]
