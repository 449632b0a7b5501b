"""Estimators pass the checks of scikit-learn and agree with the functions behind them."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import polarbias as pb
from polarbias.estimator import BasisPursuit, BasisPursuitDenoise, DiagonalLinearRegressor

MODELS = [
    BasisPursuit(),
    BasisPursuit(nonnegative=True, fit_intercept=False),
    BasisPursuitDenoise(),
    DiagonalLinearRegressor(),
    DiagonalLinearRegressor(method="descent", max_steps=200),
]


def without_compilation(problem, network, theta0, *, max_steps, tol, keep_x):
    """Stand-in for `gradient_descent`, which compiles for the shape of every data set: minutes in all."""
    return pb.mirror_descent(problem, network, theta0, max_steps=max_steps, tol=tol)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@parametrize_with_checks(MODELS)
def test_scikit_learn_accepts(estimator, check, monkeypatch):
    monkeypatch.setattr("polarbias.descent.gradient_descent.gradient_descent", without_compilation)
    check(estimator)


@pytest.mark.full
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@parametrize_with_checks(MODELS[-1:])
def test_scikit_learn_accepts_descent(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(1)
    X = rng.standard_normal((30, 80))
    w = np.where(np.arange(80) % 25 == 0, [1.0, -2.0] * 40, 0.0)
    return X, w, X @ w + 0.7


def test_a_sparse_truth_is_found(data):
    X, w, y = data
    for model in (BasisPursuit(), DiagonalLinearRegressor(ratio=0.003), BasisPursuitDenoise(sigma=1e-8)):
        model.fit(X, y)
        np.testing.assert_allclose(model.coef_, w, atol=1e-5)
        assert model.intercept_ == pytest.approx(0.7, abs=1e-5)
        np.testing.assert_allclose(model.predict(X), y, atol=1e-5)


def test_the_l1_norm_is_minimal(data):
    X, _, y = data
    rng = np.random.default_rng(2)
    y = y + rng.standard_normal(30)
    model = BasisPursuit().fit(X, y)
    centred = X - X.mean(0)
    b = centred @ np.linalg.lstsq(centred, y - y.mean(), rcond=None)[0]
    wanted = pb.minimal_l1(pb.LinearProblem(centred, b), nonnegative=False).value
    assert np.abs(model.coef_).sum() == pytest.approx(float(wanted), rel=1e-9)
    assert model.gap_ < 1e-9
    # Tall data have one least-squares solution, signed or not.
    tall, coefficients = X.T[:, :5], np.array([1.0, 0.5, 2.0, 1.5, 1.0])
    target = tall @ coefficients + 0.01 * rng.standard_normal(80)
    for nonnegative, rtol in ((False, 1e-9), (True, 1e-6)):
        fit = BasisPursuit(nonnegative=nonnegative, fit_intercept=False).fit(tall, target).coef_
        np.testing.assert_allclose(fit, np.linalg.lstsq(tall, target, rcond=None)[0], rtol=rtol)


def test_noise_levels(data):
    X, _, y = data
    noisy = y + 0.3 * np.random.default_rng(3).standard_normal(30)
    norms = []
    for sigma in (0.05, 0.3, 1.0, 100.0):
        model = BasisPursuitDenoise(sigma=sigma).fit(X, noisy)
        assert np.sqrt(np.mean((model.predict(X) - noisy) ** 2)) <= sigma * (1 + 1e-7)
        norms.append(np.abs(model.coef_).sum())
    assert (np.diff(norms) < 0).all()
    assert norms[-1] == 0


def test_the_regressor_is_the_papers_model(data):
    X, _, y = data
    b = y - y.mean()
    A, size = X - X.mean(0), np.sqrt(np.mean(b**2))
    for depth in (1, 2, 3):
        network = pb.HadamardDifference(depth) if depth > 1 else pb.HadamardPower(1)
        network = pb.WeightNormalization(network, 0.5)
        theta0 = network.init(0.2, np.ones(160 if depth > 1 else 80))
        wanted = pb.flow_limit(pb.LinearProblem(A, b / size), network, theta0).x * size
        model = DiagonalLinearRegressor(depth, 0.5, 0.2).fit(X, y)
        np.testing.assert_allclose(model.coef_, wanted, rtol=1e-6, atol=1e-8)
    run = DiagonalLinearRegressor(ratio=1.0, method="descent", max_steps=3000).fit(X, y)
    exact = DiagonalLinearRegressor(ratio=1.0).fit(X, y)
    assert np.abs(run.coef_ - exact.coef_).sum() < 0.3 * np.abs(exact.coef_).sum()


def test_early_stopping(data):
    X, _, y = data
    noisy = y + 0.3 * np.random.default_rng(4).standard_normal(30)
    model = DiagonalLinearRegressor(method="descent", ratio=1.0, max_steps=3000)
    whole = clone(model).fit(X, noisy)
    stopped = clone(model).set_params(early_stopping=0.3).fit(X, noisy)
    assert 0.25 < np.sqrt(np.mean((stopped.predict(X) - noisy) ** 2)) <= 0.3
    assert stopped.n_iter_ < whole.n_iter_
    held = clone(model).set_params(early_stopping="validation", random_state=0, fit_intercept=False).fit(X, noisy)
    size = np.sqrt(np.mean(noisy**2))
    A, aside, b, wanted = train_test_split(X / 30**0.5, noisy / size / 30**0.5, test_size=0.1, random_state=0)
    network = pb.WeightNormalization(pb.HadamardDifference(2), 1.0)
    theta0 = network.init(0.1, np.ones(160))
    run = pb.gradient_descent(pb.LinearProblem(A, b), network, theta0, max_steps=3000, keep_x=True)
    errors = np.linalg.norm(run.trajectory.x @ aside.T - wanted, axis=-1)
    assert errors.min() < 0.99 * errors[-1]
    found = np.linalg.norm(aside @ held.coef_ / size - wanted)
    assert found == pytest.approx(errors.min(), rel=1e-9)
    with pytest.warns(ConvergenceWarning, match="all steps are used"):
        clone(model).set_params(ratio=0.003).fit(X, noisy)


def test_pipelines_grids_frames_and_sparse_features(data):
    X, _, y = data
    pipeline = make_pipeline(StandardScaler(), BasisPursuitDenoise())
    search = GridSearchCV(pipeline, {"basispursuitdenoise__sigma": [0.01, 0.3]}, cv=3).fit(X, y)
    assert search.best_params_ == {"basispursuitdenoise__sigma": 0.01}
    for frame in (pd.DataFrame(X, columns=[f"x{k}" for k in range(80)]), pl.DataFrame(X, [f"x{k}" for k in range(80)])):
        model = BasisPursuit().fit(frame, y)
        assert list(model.feature_names_in_) == list(frame.columns)
        np.testing.assert_allclose(model.predict(frame), y, atol=1e-6)
    thin = np.where(np.abs(X) > 1, X, 0)
    sparsely, densely = (clone(model).fit(form, y).coef_ for form in (sparse.csr_array(thin), thin))
    np.testing.assert_allclose(sparsely, densely, rtol=1e-9, atol=1e-12)


def test_sample_weights_are_repetitions(data):
    X, _, _ = data
    tall, y = X.T[:, :6], np.random.default_rng(5).standard_normal(80)
    counts = np.random.default_rng(6).integers(0, 4, 80)
    for model in (BasisPursuit(), BasisPursuitDenoise(sigma=0.9), DiagonalLinearRegressor()):
        weighted = clone(model).fit(tall, y, sample_weight=counts)
        repeated = clone(model).fit(np.repeat(tall, counts, axis=0), np.repeat(y, counts))
        np.testing.assert_allclose(weighted.coef_, repeated.coef_, rtol=1e-6, atol=1e-9)
        assert weighted.intercept_ == pytest.approx(repeated.intercept_, abs=1e-9)
