"""The open questions of arXiv:2305.05448v1, section 5, each measured; proofs are in ``docs/open_questions.md``."""

from polarbias.experiments.questions.answer import Answer
from polarbias.experiments.questions.laws import ratio_laws
from polarbias.experiments.questions.losses import other_losses
from polarbias.experiments.questions.outcomes import convergence
from polarbias.experiments.questions.speed import rates
from polarbias.experiments.questions.steps import step_sizes

QUESTIONS = {1: other_losses, 2: convergence, 3: rates, 4: ratio_laws, 5: step_sizes}

__all__ = ["QUESTIONS", "Answer", "convergence", "other_losses", "rates", "ratio_laws", "step_sizes"]
