r"""scikit-learn estimators: minimal l1 norms, and diagonal linear networks as a regressor.

All of them interpolate. If no coefficients fit the targets, they interpolate the least-squares projection of the
targets: among all coefficients with the least squared error they return those that their bias selects.
"""

from __future__ import annotations

import warnings
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import nnls

from polarbias.limit.flow_limit import flow_limit
from polarbias.networks.configuration import Configuration
from polarbias.problems.linear import LinearProblem
from polarbias.recovery.basis_pursuit import basis_pursuit
from polarbias.recovery.result import PursuitStatus
from polarbias.runtime.extras import require
from polarbias.solution import Status

require("sklearn", "sklearn", "polarbias.estimator")

from sklearn.base import BaseEstimator, RegressorMixin  # noqa: E402 -- after the check
from sklearn.exceptions import ConvergenceWarning  # noqa: E402
from sklearn.model_selection import train_test_split  # noqa: E402
from sklearn.utils._param_validation import Interval, StrOptions  # noqa: E402
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data  # noqa: E402


class _Linear(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Linear regression with weighted, centred data; subclasses implement `_solve`."""

    fit_intercept: bool

    def __sklearn_tags__(self) -> Any:
        """Add sparse input to the tags."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def fit(self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit features X, shape ``(n_samples, n_features)`` or sparse, to targets y, shape ``(n_samples,)``.

        ``sample_weight`` holds the weights of the squared errors; it has no effect if coefficients fit all targets.
        """
        self._validate_params()
        checked = validate_data(self, X, y, accept_sparse=["csr", "csc"], y_numeric=True, dtype=np.float64)
        features, targets = checked[0], np.asarray(checked[1])
        features = features.toarray() if hasattr(features, "toarray") else np.asarray(features)
        weights = _check_sample_weight(sample_weight, features, ensure_non_negative=True)
        share = weights / weights.sum()
        mean_x = share @ features if self.fit_intercept else np.zeros(features.shape[1])
        mean_y = float(share @ targets) if self.fit_intercept else 0.0
        rows = np.sqrt(share)  # so that the squared norm of a residual is the mean squared error
        kept = rows > 0
        self.coef_ = self._solve((features - mean_x)[kept] * rows[kept, None], (targets - mean_y)[kept] * rows[kept])
        self.intercept_ = mean_y - float(mean_x @ self.coef_)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Return ``X @ coef_ + intercept_``."""
        check_is_fitted(self)
        X = validate_data(self, X, accept_sparse=["csr", "csc"], reset=False, dtype=np.float64)
        return np.asarray(X @ self.coef_ + self.intercept_)

    def _solve(self, A: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Return the coefficients for the prepared data and set the attributes of the method."""
        raise NotImplementedError


def _projection(A: np.ndarray, b: np.ndarray, nonnegative: bool) -> np.ndarray:
    """Return the point A x (with x >= 0) nearest to b."""
    x = nnls(A, b)[0] if nonnegative else np.linalg.lstsq(A, b, rcond=None)[0]
    return np.asarray(A @ x)


def _warn(message: str) -> None:
    warnings.warn(message, ConvergenceWarning, stacklevel=5)


class BasisPursuit(_Linear):
    r"""Linear regression by the coefficients of minimal l1 norm among all with the least squared error.

    .. math:: \min_w \lVert w \rVert_1 \quad \text{subject to} \quad X w = \hat y,

    with y^ the least-squares projection of the targets, equal to y if coefficients fit it.

    Parameters
    ----------
    nonnegative
        If True, coefficients are not negative.
    fit_intercept
        If True, an unpenalized constant is fitted.
    tol
        Relative tolerance, as in `polarbias.basis_pursuit`.

    Attributes
    ----------
    coef_, intercept_
        Coefficients, shape ``(n_features,)``, and the constant.
    dual_, gap_
        Dual vector of the centred, weighted data, and the relative gap between the norm and its lower bound.
    n_iter_
        Factorizations.
    n_features_in_, feature_names_in_
        Number of features, and their names if they have any.

    Examples
    --------
    >>> import numpy as np
    >>> from polarbias.estimator import BasisPursuit
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((20, 50))
    >>> BasisPursuit().fit(X, 1 + 3 * X[:, 7]).coef_[7].round(9)
    np.float64(3.0)
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "nonnegative": ["boolean"],
        "fit_intercept": ["boolean"],
        "tol": [Interval(Real, 0, 1, closed="neither")],
    }

    def __init__(self, *, nonnegative: bool = False, fit_intercept: bool = True, tol: float = 1e-9) -> None:
        """Store the parameters."""
        self.nonnegative = nonnegative
        self.fit_intercept = fit_intercept
        self.tol = tol

    def _solve(self, A: np.ndarray, b: np.ndarray, sigma: float = 0.0) -> np.ndarray:
        nearest = _projection(A, b, self.nonnegative)
        if np.linalg.norm(nearest - b) >= sigma:
            b, sigma = nearest, 0.0
        found = basis_pursuit(A, b, sigma, nonnegative=self.nonnegative, tol=self.tol)
        if found.status is not PursuitStatus.OPTIMAL:
            _warn(found.message)
        self.dual_, self.gap_, self.n_iter_ = found.dual, found.gap, max(found.steps, 1)
        return np.asarray(np.nan_to_num(found.x))


class BasisPursuitDenoise(BasisPursuit):
    r"""Linear regression by the coefficients of minimal l1 norm with an error of at most ``sigma`` per sample.

    .. math:: \min_w \lVert w \rVert_1 \quad \text{subject to} \quad
              \tfrac{1}{n} \lVert X w + w_0 - y \rVert_2^2 \le \sigma^2 .

    Parameters
    ----------
    sigma
        Largest root mean square error, in units of y: the standard deviation of the noise. If no coefficients reach
        it, those with the least error and minimal norm are returned.
    nonnegative, fit_intercept, tol
        See `BasisPursuit`.

    Attributes
    ----------
    coef_, intercept_, dual_, gap_, n_iter_, n_features_in_, feature_names_in_
        See `BasisPursuit`.

    Examples
    --------
    >>> import numpy as np
    >>> from polarbias.estimator import BasisPursuitDenoise
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((20, 50))
    >>> y = 3 * X[:, 7] + 0.1 * rng.standard_normal(20)
    >>> model = BasisPursuitDenoise(sigma=0.1).fit(X, y)
    >>> int(abs(model.coef_).argmax()), bool(((model.predict(X) - y) ** 2).mean() <= 0.1**2 * (1 + 1e-8))
    (7, True)
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "sigma": [Interval(Real, 0, None, closed="left")],
        **BasisPursuit._parameter_constraints,
    }

    def __init__(
        self, sigma: float = 0.1, *, nonnegative: bool = False, fit_intercept: bool = True, tol: float = 1e-9
    ) -> None:
        """Store the parameters."""
        super().__init__(nonnegative=nonnegative, fit_intercept=fit_intercept, tol=tol)
        self.sigma = sigma

    def _solve(self, A: np.ndarray, b: np.ndarray, sigma: float = 0.0) -> np.ndarray:
        return super()._solve(A, b, float(self.sigma))


class DiagonalLinearRegressor(_Linear):
    r"""Linear regression by a diagonal linear network: the limit of gradient descent from a start of norm r0.

    The signed model of the paper, w = x+^L - x-^L with one polar coordinate for both halves, or w = x^L.

    Parameters
    ----------
    depth
        L; at depth 1 the network is linear and its bias the l2 norm.
    ratio
        Constant learning-rate ratio eta_r of weight normalization; small ratios lead to nearly minimal l1 norms.
    init_scale
        r0, norm of a start with equal entries, for targets scaled to root mean square 1.
    positive
        If True, coefficients are not negative (depth 2 and above).
    weight_normalization
        If True, the network is trained in polar coordinates.
    method
        "limit": the exact limit of gradient flow; "descent": gradient descent with Armijo's line search.
    early_stopping
        For descent: None trains to loss ``tol``; a number stops at this root mean square error, the standard deviation
        of the noise; "validation" selects the record with the least error on a tenth of the samples, set aside.
    max_steps, tol
        Largest number of steps of descent, and the loss at which it stops: mean squared error over 2 L, of targets
        scaled to root mean square 1.
    random_state
        Seed of the validation split.
    fit_intercept
        If True, a constant is fitted.

    Attributes
    ----------
    coef_, intercept_, n_features_in_, feature_names_in_
        See `BasisPursuit`.
    n_iter_
        Steps of descent, or factorizations.

    References
    ----------
    arXiv:2305.05448v1, equations (10)-(13) and (22).

    Examples
    --------
    >>> import numpy as np
    >>> from polarbias.estimator import DiagonalLinearRegressor
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((20, 50))
    >>> DiagonalLinearRegressor(ratio=0.01).fit(X, 1 + 3 * X[:, 7]).coef_[7].round(6)
    np.float64(3.0)
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "depth": [Interval(Integral, 1, None, closed="left")],
        "ratio": [Interval(Real, 0, None, closed="neither")],
        "init_scale": [Interval(Real, 0, None, closed="neither")],
        "positive": ["boolean"],
        "weight_normalization": ["boolean"],
        "method": [StrOptions({"limit", "descent"})],
        "early_stopping": [None, StrOptions({"validation"}), Interval(Real, 0, None, closed="neither")],
        "max_steps": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "random_state": ["random_state"],
        "fit_intercept": ["boolean"],
    }

    def __init__(  # noqa: PLR0913 -- one per option of the model
        self,
        depth: int = 2,
        ratio: float = 0.1,
        init_scale: float = 0.1,
        *,
        positive: bool = False,
        weight_normalization: bool = True,
        method: str = "limit",
        early_stopping: str | float | None = None,
        max_steps: int = 10_000,
        tol: float = 1e-12,
        random_state: Any = None,
        fit_intercept: bool = True,
    ) -> None:
        """Store the parameters."""
        self.depth = depth
        self.ratio = ratio
        self.init_scale = init_scale
        self.positive = positive
        self.weight_normalization = weight_normalization
        self.method = method
        self.early_stopping = early_stopping
        self.max_steps = max_steps
        self.tol = tol
        self.random_state = random_state
        self.fit_intercept = fit_intercept

    def _solve(self, A: np.ndarray, b: np.ndarray) -> np.ndarray:
        self.n_iter_, size = 1, float(np.linalg.norm(b))
        if not size:
            return np.zeros(A.shape[1])
        return (self._limit if self.method == "limit" else self._descent)(A, b / size, size) * size

    def _model(self, n: int) -> tuple[Any, Any]:
        """Return the network and its start."""
        configuration = Configuration(
            algorithm="wn" if self.weight_normalization else "plain",
            depth=int(self.depth),
            signed=not self.positive and self.depth > 1,
            ratio=float(self.ratio),
            scale=float(self.init_scale),
            direction="uniform",
        )
        return configuration.network(), configuration.theta0(n)

    def _limit(self, A: np.ndarray, b: np.ndarray, size: float) -> np.ndarray:
        target = _projection(A, b, self.positive)
        if np.linalg.norm(target) <= 1e-12:
            return np.zeros(A.shape[1])
        found = flow_limit(LinearProblem(A, target), *self._model(A.shape[1]))
        if not found.converged:
            _warn(found.message)
        self.n_iter_ = max(int(found.steps), 1)
        return np.asarray(np.nan_to_num(found.x))

    def _descent(self, A: np.ndarray, b: np.ndarray, size: float) -> np.ndarray:
        from polarbias.descent.gradient_descent import gradient_descent  # loads JAX

        network, theta0 = self._model(A.shape[1])
        tol, aside = float(self.tol), None
        if self.early_stopping == "validation":
            A, aside, b, wanted = train_test_split(A, b, test_size=0.1, random_state=self.random_state)
        elif self.early_stopping is not None:
            tol = (float(self.early_stopping) / size) ** 2 / (2 * network.degree)
        run = gradient_descent(
            LinearProblem(A, b), network, theta0, max_steps=int(self.max_steps), tol=tol, keep_x=aside is not None
        )
        if aside is None:
            self.n_iter_ = max(int(run.steps), 1)
            if run.status not in (Status.CONVERGED, Status.LINE_SEARCH_FAILED):
                _warn(run.message)
            return np.asarray(run.x)
        record = run.trajectory
        best = int(np.argmin(((record.x @ aside.T - wanted) ** 2).sum(-1)))
        self.n_iter_ = max(int(record.step[best]), 1)
        return np.asarray(record.x[best])
