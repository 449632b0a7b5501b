"""Print the tables of docs/open_questions.md.

``python benchmarks/open_questions`` takes about two minutes; ``python benchmarks/open_questions 4 5 --quick`` answers
two questions on smaller problems. All seeds are fixed. The exit code is 1 if a table contradicts the proofs.
"""

import argparse
import sys

from convergence import convergence
from other_losses import other_losses
from rates import rates
from ratio_laws import ratio_laws
from step_sizes import step_sizes

QUESTIONS = {1: other_losses, 2: convergence, 3: rates, 4: ratio_laws, 5: step_sizes}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("numbers", nargs="*", type=int, metavar="NUMBER", help="questions, 1 to 5; all by default")
    parser.add_argument("--quick", action="store_true", help="smaller problems, and fewer of them")
    options = parser.parse_args()
    if unknown := set(options.numbers) - QUESTIONS.keys():
        parser.error(f"the questions are 1 to 5, got {min(unknown)}")
    agree = True
    for number in sorted(set(options.numbers)) or QUESTIONS:
        answer = QUESTIONS[number](options.quick)
        print(f"{answer}\n", flush=True)
        agree = agree and answer.as_proved
    sys.exit(not agree)
