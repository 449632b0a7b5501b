"""Exceptions of polarbias: every deliberate error derives from `PolarbiasError`."""


class PolarbiasError(Exception):
    """Base class of all errors raised on purpose by polarbias."""


class InvalidInput(PolarbiasError, ValueError):
    """An argument has an unsupported value."""


class InvalidProblem(InvalidInput):
    """The data (A, b, x_true) do not describe a linear problem."""


class MissingExtra(PolarbiasError, ImportError):
    """An optional dependency is not installed; the message names the extra that installs it."""


class Inaccurate(PolarbiasError):
    """A reference solution lacks a certificate of the promised accuracy."""


class StoreMismatch(PolarbiasError):
    """A results folder belongs to another specification or to another version of the tables."""


class StoreBusy(PolarbiasError):
    """A results folder is in use by another run."""


class ClusterError(PolarbiasError):
    """A Dask cluster is unavailable, was lost, or abandoned a task."""
