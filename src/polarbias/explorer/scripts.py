"""Python scripts that repeat a view: its settings, and the source of the functions that computed it."""

import ast
from importlib import resources

from polarbias.explorer.settings import GRID, Settings

_FLOWS = ("both_flows", "sample_times", "integrate_flow")

VIEWS = {
    "limits": (
        ("both_flows", "both_limits", "limits_table"),
        "table = limits_table(problem, minimum, both_limits(problem, configuration))",
    ),
    "trajectory": ((*_FLOWS, "trajectory_table"), "_, table = trajectory_table(problem, minimum, configuration)"),
    "map": (("map_table",), "table = map_table(problem, minimum, configuration, grid)"),
    "bounds": (("both_flows", "bounds_table"), "table = bounds_table(problem, configuration, grid)"),
    "plane": ((*_FLOWS, "plane_table"), "table = plane_table(problem, minimum, configuration)"),
}
"""Functions of `polarbias.explorer.views` that compute the table of each view, and their call."""


def script(view: str, settings: Settings) -> str:
    """Return a script that computes the table of a view and draws it."""
    if view == "plane":
        A, b, _ = settings.plane_arrays()
        problem, configuration = f"LinearProblem({A.tolist()}, {b.tolist()})", settings.plane_configuration()
    else:
        arguments = ", ".join(f"{name}={value!r}" for name, value in settings.problem_arguments().items())
        problem, configuration = f"gaussian_problem({arguments})", settings.configuration()
    names, call = VIEWS[view]
    grid = f"grid = np.geomspace({float(GRID[0])!r}, {float(GRID[-1])!r}, {len(GRID)})\n" if "grid" in call else ""
    imports, functions = _source("views.py", names)
    more, plot = _source("plots.py", (f"plot_{view}",))
    return (
        "\n".join(dict.fromkeys([*imports, *more])) + "\n\n"
        f"problem = pb.{problem}\n"
        f"configuration = {configuration!r}\n"
        f"minimum = pb.basis_pursuit(problem.A, problem.b, nonnegative={not settings.signed})\n"
        f"{grid}\n\n{functions}\n\n{plot}\n\n"
        f"{call}\n"
        f"plot_{view}(table).savefig('polarbias-{view}.png', dpi=150)\n"
    )


def _source(module: str, names: tuple[str, ...]) -> tuple[list[str], str]:
    """Return the import statements of a module of this package, and the source of some of its functions."""
    text = resources.files("polarbias.explorer").joinpath(module).read_text(encoding="utf-8")
    nodes = ast.parse(text).body
    imports = [ast.unparse(node) for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)]
    functions = {node.name: ast.get_source_segment(text, node) for node in nodes if isinstance(node, ast.FunctionDef)}
    return imports, "\n\n\n".join(functions[name] or "" for name in names) + "\n"
