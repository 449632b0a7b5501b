"""Lines of the figure in two or three dimensions: solution set, l1 ball, trajectories."""

from dataclasses import dataclass
from itertools import combinations, pairwise, product

import numpy as np
from scipy.linalg import null_space

from polarbias.explorer.options import OPTIONS
from polarbias.explorer.results import ALGORITHMS, Limits


@dataclass(frozen=True)
class Scene:
    """Lines of shape ``(K, 2)``, and points with their coordinates as text."""

    title: str
    axes: list[np.ndarray]
    faces: list[np.ndarray]
    ball: list[np.ndarray]
    solutions: list[np.ndarray]
    trajectories: dict[str, np.ndarray]
    points: dict[str, tuple[np.ndarray, str]]


def projection(azimuth: float, elevation: float) -> np.ndarray:
    """Return the parallel projection, shape ``(2, 3)``, along the direction with these angles in degrees."""
    a, e = np.deg2rad(azimuth), np.deg2rad(elevation)
    across = [-np.sin(a), np.cos(a), 0.0]
    up = [-np.sin(e) * np.cos(a), -np.sin(e) * np.sin(a), np.cos(e)]
    return np.array([across, up])


def scene(plane: Limits, signed: bool, azimuth: float, elevation: float) -> Scene:
    """Return the figure of a problem; the angles apply to three dimensions."""
    A, b = np.asarray(plane.problem.A), np.asarray(plane.problem.b)
    n = A.shape[1]
    flat = np.eye(2) if n == 2 else projection(azimuth, elevation)
    radius = float(plane.minimum.value)
    columns, algorithm = [f"x{k + 1}" for k in range(n)], plane.table["algorithm"]
    paths = {name: plane.table.loc[algorithm == name, columns].to_numpy() for name in ALGORITHMS}
    points = {"start": paths["plain"][0], "minimal_l1": plane.minimum.x, "plain": plane.plain.x, "wn": plane.wn.x}
    everything = np.concatenate([*paths.values(), *(point[None] for point in points.values())])
    half = OPTIONS.margin * max(float(np.abs(everything).max()), radius)
    low = -half if signed else 0.0
    faces, edges = _ball(n, radius, signed)
    lines = [np.stack([np.zeros(n) if low == 0 else -half * unit, half * unit]) for unit in np.eye(n)]
    return Scene(
        f"{n} dimensions, minimal l1 norm {radius:.4g}",
        [line @ flat.T for line in lines],
        [face @ flat.T for face in faces],
        [edge @ flat.T for edge in edges],
        [line @ flat.T for line in solution_set(A, b, low, half)],
        {name: path @ flat.T for name, path in paths.items()},
        {name: (flat @ point, ", ".join(f"{value:.4g}" for value in point)) for name, point in points.items()},
    )


def _ball(n: int, radius: float, signed: bool) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return faces and edges of the l1 ball, or of its part with nonnegative entries."""
    signs = list(product((1.0, -1.0), repeat=n)) if signed else [(1.0,) * n]
    corners = [radius * np.diag(sign) for sign in signs]
    edges = {
        tuple(sorted((tuple(corner[i]), tuple(corner[j])))) for corner in corners for i, j in combinations(range(n), 2)
    }
    # In two dimensions the faces are the ball's triangles with a corner at 0.
    faces = corners if n == 3 else [np.vstack([corner, np.zeros(2)]) for corner in corners]
    return faces, [np.array(edge) for edge in sorted(edges)]


def solution_set(A: np.ndarray, b: np.ndarray, low: float, high: float) -> list[np.ndarray]:
    """Return the outline of the solutions of A X = b within the box [low, high]^N: a segment or a polygon."""
    n = A.shape[1]
    faces = [(axis, value) for axis in range(n) for value in (low, high)]
    found = []
    # A corner lies on N - M faces of the box, the dimension of the solution set.
    for subset in combinations(faces, n - len(b)):
        if len({axis for axis, _ in subset}) < len(subset):
            continue
        rows = np.vstack([A, *(np.eye(n)[axis] for axis, _ in subset)])
        if np.linalg.matrix_rank(rows) < n:
            continue
        corner = np.linalg.solve(rows, np.concatenate([b, [value for _, value in subset]]))
        inside = (corner >= low - 1e-9 * high) & (corner <= high + 1e-9 * high)
        if inside.all():
            found.append(corner)
    if len(found) < 2:
        return []
    corners = np.unique(np.round(np.array(found) / high, 9), axis=0) * high
    if corners.shape[0] < 3:
        return [corners]
    centre = corners.mean(axis=0)
    flat = (corners - centre) @ null_space(A)
    around = corners[np.argsort(np.arctan2(flat[:, -1], flat[:, 0]))]
    return [np.stack(pair) for pair in pairwise([*around, around[0]])]
