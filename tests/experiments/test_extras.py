"""Experiments without their extras: one line names the missing one."""

import pytest

from without_extras import without_extras


@pytest.mark.parametrize(
    ("keep", "message"),
    [
        ((), "polarbias.experiments needs JAX: pip install 'polarbias[descent]'"),
        (("jax", "jaxlib", "equinox"), "polarbias.experiments needs pandas: pip install 'polarbias[paper]'"),
    ],
)
def test_a_missing_extra_is_named(keep, message):
    done = without_extras("from polarbias.experiments import reproduce", keep)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == f"polarbias.errors.MissingExtra: {message}"
