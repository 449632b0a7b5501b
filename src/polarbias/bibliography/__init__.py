"""What to cite for what was used."""

from polarbias.bibliography.used import citation

__all__ = ["citation"]
