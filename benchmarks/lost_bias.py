"""Loss of bias during descent: exact limits of the flow from the state after k steps of Figure 3's first trial.

    python benchmarks/lost_bias.py

The limit is constant along gradient flow, so a growth of its error from step 0 to step k is due to the first k steps,
and later steps cannot undo it. A question mark replaces limits that are not found.
"""

import warnings

import numpy as np

import polarbias as pb
from polarbias.descent.device import use_device

STEPS = (0, 10, 1000, 10_000)


def main():
    problem = pb.gaussian_problem(0, 150, 1000, experiment=3, trial=0)
    least = pb.minimal_l1(problem, nonnegative=True).value
    direction = pb.folded_gaussian_direction(0, 1000, experiment=3, trial=0)
    print("eta     " + "".join(f"{steps:>16,} steps" for steps in STEPS) + "   (error of the limit, ||u||)")
    for ratio in (10, 3, 1, 0.3, 0.1, 0.03, 0.01):
        network = pb.WeightNormalization(pb.HadamardPower(2), ratio)
        start = network.init(1.0, direction)
        cells = []
        for steps in STEPS:
            theta = start
            if steps:
                theta = pb.gradient_descent(problem, network, start, max_steps=steps, tol=0).theta
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                limit = pb.flow_limit(problem, network, theta)
            error = f"{np.abs(limit.x).sum() - least:.1e}" if limit.converged else "?"
            cells.append(f"{error:>14} ({np.linalg.norm(theta.u):.2f})")
        print(f"{ratio:<8}" + " ".join(cells), flush=True)


if __name__ == "__main__":
    with use_device("cpu"):
        main()
