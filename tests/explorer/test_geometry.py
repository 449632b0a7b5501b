"""Lines of the figure in two and three dimensions."""

from dataclasses import replace

import numpy as np
import pytest

from polarbias.explorer import geometry, results
from polarbias.explorer.settings import Settings

PLANE = Settings()
SPACE = Settings(A="1 2 0.5", b="2", u0="1 1 2")


def test_solutions_in_a_box():
    line = geometry.solution_set(np.array([[1.0, 2.0]]), np.array([2.0]), 0.0, 4.0)
    assert sorted(map(tuple, line[0])) == [(0.0, 1.0), (2.0, 0.0)]
    triangle = geometry.solution_set(np.ones((1, 3)), np.array([1.0]), 0.0, 4.0)
    assert len(triangle) == 3
    assert {tuple(corner) for edge in triangle for corner in edge} == set(map(tuple, np.eye(3)))
    hexagon = geometry.solution_set(np.ones((1, 3)), np.array([0.0]), -1.0, 1.0)
    assert len(hexagon) == 6
    assert all(abs(corner.sum()) < 1e-12 for edge in hexagon for corner in edge)
    (segment,) = geometry.solution_set(np.array([[1.0, 0, 0], [0, 1, 0]]), np.array([0.5, 0.25]), 0.0, 1.0)
    assert sorted(map(tuple, segment)) == [(0.5, 0.25, 0.0), (0.5, 0.25, 1.0)]


@pytest.mark.parametrize(
    ("settings", "faces", "edges"),
    [
        (PLANE, 1, 1),
        (replace(PLANE, signed=True), 4, 4),
        (SPACE, 1, 3),
        (replace(SPACE, signed=True), 8, 12),
    ],
)
def test_trajectories_end_at_the_limits(settings, faces, edges):
    plane = results.plane(settings)
    scene = geometry.scene(plane, settings.signed, 30.0, 20.0)
    assert np.abs(plane.minimum.x).sum() == pytest.approx(float(plane.minimum.value))
    for name, path in scene.trajectories.items():
        assert path.shape[1] == 2
        assert path[-1] == pytest.approx(scene.points[name][0], abs=1e-3)
    assert len(scene.axes) == plane.problem.n
    assert (len(scene.faces), len(scene.ball)) == (faces, edges)


def test_the_projection_keeps_lengths_in_its_plane():
    flat = geometry.projection(40.0, -15.0)
    assert flat @ flat.T == pytest.approx(np.eye(2))
    assert geometry.projection(0.0, 90.0) @ np.array([0.0, 0.0, 1.0]) == pytest.approx([0.0, 0.0], abs=1e-12)
