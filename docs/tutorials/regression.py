# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Sparse regression
#
# The estimators of `polarbias.estimator` follow scikit-learn's conventions and work in pipelines, grid searches and
# cross-validation. This page compares them with least squares and the Lasso on real data with many added noise
# columns. The estimators target problems with an exact solution of $A x = b$; the comparison shows their uses, and
# cases in which the Lasso is better.

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.datasets import load_diabetes
from sklearn.linear_model import LassoCV, LinearRegression, lasso_path
from sklearn.model_selection import GridSearchCV, KFold, cross_validate, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

import polarbias as pb
from polarbias.estimator import BasisPursuit, BasisPursuitDenoise, DiagonalLinearRegressor

# %% [markdown]
# ## Two data sets
#
# The diabetes data of scikit-learn contain a measure of progression and ten features for each patient. The *tall* set
# has nearly all patients, and 100 noise columns beside the ten features. The *wide* set has more columns than rows:
# some of the patients, the features with all products of two of them, and 200 noise columns.

# %%
features, target = load_diabetes(return_X_y=True, scaled=False)
rng = np.random.default_rng(0)
tall = np.hstack([features, rng.standard_normal((len(features), 100))])[:440], target[:440]
products = PolynomialFeatures(2, interaction_only=True, include_bias=False).fit_transform(
    StandardScaler().fit_transform(features)
)
some = rng.permutation(len(features))[:120]
wide = np.hstack([products, rng.standard_normal((len(features), 200))])[some], target[some]
sets = {"tall": (*tall, features.shape[1]), "wide": (*wide, products.shape[1])}
for name, (X, y, real) in sets.items():
    print(f"{name}: {X.shape[0]} rows, {X.shape[1]} columns, of which {real} are real; std of the target {y.std():.1f}")

# %% [markdown]
# ## The models
#
# Models that interpolate, or fit as well as the rows allow:
#
# - `LinearRegression`: least squares; with more columns than rows, the solution of smallest $l_2$ norm.
# - `BasisPursuit`: the same residual with the smallest $l_1$ norm. A unique least-squares solution is also its
#   solution.
# - `DiagonalLinearRegressor`: the limit of gradient flow with weight normalization.
#
# Models that stop earlier:
#
# - `LassoCV`, which chooses its penalty by cross-validation along a path.
# - `BasisPursuitDenoise`: the smallest $l_1$ norm with a root mean square error of at most `sigma`.
# - `DiagonalLinearRegressor(method="descent")`, which stops at the step with the best prediction of a tenth of the
#   samples, set aside for this purpose (`"validation"`), or at a given root mean square error.
#
# The error level is a parameter; a grid search chooses it from the same four values for both models.

# %%
levels = [45.0, 50.0, 55.0, 60.0]
descent = {"method": "descent", "max_steps": 2000, "random_state": 0}


def tuned(model, name):
    return GridSearchCV(model, {name: levels}, cv=4, scoring="neg_root_mean_squared_error")


models = {
    "least squares": LinearRegression(),
    "BasisPursuit": BasisPursuit(),
    "network, limit": DiagonalLinearRegressor(),
    "LassoCV": LassoCV(cv=4),
    "BasisPursuitDenoise": tuned(BasisPursuitDenoise(), "sigma"),
    "network, validation": DiagonalLinearRegressor(early_stopping="validation", **descent),
    "network, error level": tuned(DiagonalLinearRegressor(**descent), "early_stopping"),
}

# %% [markdown]
# ## The comparison
#
# All models use the same five folds; the pipeline scales columns with the training rows. `error` is the root mean
# square error on the rows left out, `to Lasso` the mean difference to `LassoCV` on the same rows, and `+-` its
# standard error. `columns` counts coefficients above 1% of the largest, `noise` those of noise columns. `time` is the
# median of five fits in seconds, including all parameter choices. `first` is the longest fit: JAX compiles descent
# once for each number of rows.


# %%
def fitted(pipeline):
    return getattr(pipeline[-1], "best_estimator_", pipeline[-1])


def compared(X, y, real):
    rows, errors = {}, {}
    for name, model in models.items():
        done = cross_validate(
            make_pipeline(StandardScaler(), model),
            X,
            y,
            cv=KFold(5, shuffle=True, random_state=0),
            scoring="neg_root_mean_squared_error",
            return_estimator=True,
        )
        coefficients = np.abs([fitted(pipeline).coef_ for pipeline in done["estimator"]])
        large = coefficients > 0.01 * coefficients.max(-1, keepdims=True)
        errors[name] = -done["test_score"]
        rows[name] = {
            "error": errors[name].mean(),
            "columns": large.sum(-1).mean(),
            "noise": large[:, real:].sum(-1).mean(),
            "time": np.median(done["fit_time"]),
            "first": done["fit_time"].max(),
        }
    table = pd.DataFrame(rows).T
    differences = pd.DataFrame(errors).sub(errors["LassoCV"], axis=0)
    table.insert(1, "to Lasso", differences.mean())
    table.insert(2, "+-", differences.sem())
    return table


tables = {name: compared(*data) for name, data in sets.items()}
for name, table in tables.items():
    print(f"{name}\n{table.round(2).to_string()}\n")

# %%
interpolating = ["least squares", "BasisPursuit", "network, limit"]
chosen = ["BasisPursuitDenoise", "network, error level"]
for table in tables.values():
    assert (table.loc[interpolating, "to Lasso"] > 5).all()
    assert (table.loc[chosen, "to Lasso"].abs() < 4).all()
    assert (table.loc[interpolating, "error"] > 0.8 * target.std()).all()
    assert (table.loc["network, validation", "error"] < table.loc[interpolating, "error"]).all()
    assert (table.loc["network, validation", "+-"] > table.loc[chosen, "+-"]).all()
assert (tables["wide"].loc[chosen, "to Lasso"] < 0).all()
assert np.isclose(tables["tall"].loc["BasisPursuit", "error"], tables["tall"].loc["least squares", "error"])

# %% [markdown]
# Results:
#
# - *Interpolation predicts badly.* Its error is close to the standard deviation of the target, the error of a
#   constant. The target is noisy, and an exact fit fits the noise. A small $l_1$ norm does not help. On the tall set
#   the three models coincide, because least squares has one solution.
# - *Early stopping at a chosen error is about as good as the Lasso.* On the wide set both models are better. But the
#   four grid values give them an advantage, because they surround the attainable error, while `LassoCV` starts
#   without such information. `BasisPursuitDenoise`, an equivalent form of the Lasso, has the same advantage.
# - `BasisPursuitDenoise` has the Lasso's solutions with a bound in place of a penalty: each `sigma` corresponds to a
#   penalty. The parameter choice differs. `LassoCV` follows a path of a hundred penalties with warm starts, and a
#   grid search solves every problem from scratch, so each value costs much more. For prediction use `LassoCV`; use
#   `BasisPursuitDenoise` if the noise level is known or a certificate of optimality is required (`dual_`, `gap_`).
# - All coefficients of the network with early stopping are nonzero, so the counts depend on the threshold; the
#   Lasso's zeros are exact. `"validation"` needs no grid, but loses a tenth of the rows, and its error varies most
#   between folds. The first fit for each number of rows also includes compilation.

# %% [markdown]
# ## Paths of models
#
# Each method defines a path of models from zero to interpolation, and the paths pass similar points. The plot shows
# them on one split of the wide set, test error against training error: for the Lasso's penalties, for some values of
# `sigma`, and for the steps of descent with and without weight normalization from the same initialization.

# %%
X, y, real = sets["wide"]
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=34, random_state=1)
scaler = StandardScaler().fit(X_train)
A, B, middle = scaler.transform(X_train), scaler.transform(X_test), y_train.mean()


def errors_of(coefficients):
    """Return training and test error, for coefficients of shape (number of models, number of columns)."""
    train = (coefficients @ A.T - (y_train - middle)) ** 2
    test = (coefficients @ B.T - (y_test - middle)) ** 2
    return np.sqrt(train.mean(-1)), np.sqrt(test.mean(-1))


paths = {"Lasso": lasso_path(A, y_train - middle, eps=1e-3)[1].T}
sigmas = np.linspace(5, 75, 15)
paths["BasisPursuitDenoise"] = np.array([BasisPursuitDenoise(sigma).fit(A, y_train).coef_ for sigma in sigmas])
level = np.sqrt(((y_train - middle) ** 2).mean())
problem = pb.LinearProblem(A / np.sqrt(len(A)), (y_train - middle) / np.sqrt(len(A)) / level)
for name, network in {
    "descent, plain": pb.HadamardDifference(2),
    "descent, weight normalization": pb.WeightNormalization(pb.HadamardDifference(2), ratio=0.1),
}.items():
    start = network.init(scale=0.1, direction=np.ones(2 * A.shape[1]))
    run = pb.gradient_descent(problem, network, start, max_steps=2000, keep_x=True)
    paths[name] = run.trajectory.x * level

styles = {
    "Lasso": {"color": "0.55", "linewidth": 4},
    "BasisPursuitDenoise": {"color": "black", "linestyle": "none", "marker": "o", "fillstyle": "none"},
    "descent, plain": {"color": "#c1440e"},
    "descent, weight normalization": {"color": "#1f5fa8"},
}
figure, ax = plt.subplots(figsize=(6.5, 4), layout="constrained")
least, dips = {}, {}
for name, path in paths.items():
    train, test = errors_of(path)
    least[name], dips[name] = test.min(), test.min() / test[train.argmin()]
    print(f"{name:29} least test error {test.min():.1f}, at training error {train[test.argmin()]:.1f}")
    ax.plot(train, test, label=name, **styles[name])
ax.invert_xaxis()
ax.set(xlabel="training error (falls to the right)", ylabel="test error", title="Four paths on one split")
ax.grid(alpha=0.25)
legend = ax.legend()

# %%
train, test = errors_of(paths["Lasso"])
on_path = np.interp(sigmas, train[::-1], test[::-1])
within = (sigmas > train.min()) & (sigmas < train.max())
assert np.abs(errors_of(paths["BasisPursuitDenoise"])[1] - on_path)[within].max() < 1
assert max(dips.values()) < 0.85
assert least["descent, plain"] < least["descent, weight normalization"] < least["Lasso"]
assert (paths["descent, weight normalization"] != 0)[1:].all()

# %% [markdown]
# The circles lie on the Lasso's curve, since both solve equivalent problems. The curves of descent differ, and are
# ragged where long steps of the line search overshoot. On this split they reach a lower error than the Lasso, plain
# descent the lowest; one split of so few rows proves nothing, and the table above shows no such difference. All paths
# rise on the right. With large noise their ends are useless for prediction, although the bias of the networks is
# known exactly only there.

# %% [markdown]
# ## Interpolation of exact data
#
# Exact data are different: the target is a combination of a few of many columns, as in the search for a physical law or
# with precise measurements. The columns are the same, and five of them form the target:

# %%
X, _, real = sets["wide"]
columns = StandardScaler().fit_transform(X)
weights = np.zeros(columns.shape[1])
weights[rng.permutation(real)[:5]] = [30.0, -20.0, 15.0, 10.0, -5.0]
exact = 150 + columns @ weights
found = {}
for name, model in {
    "BasisPursuit": BasisPursuit(),
    "network, limit": DiagonalLinearRegressor(ratio=0.01),
    "LassoCV": LassoCV(cv=5),
}.items():
    found[name] = model.fit(columns, exact).coef_
    wrong = np.abs(found[name] - weights).max()
    print(f"{name:15} largest error of a coefficient {wrong:.1e}, columns {(np.abs(found[name]) > 0.01).sum()}")
print(f"gap of BasisPursuit {BasisPursuit().fit(columns, exact).gap_:.1e}")
assert np.abs(found["BasisPursuit"] - weights).max() < 1e-9
assert np.abs(found["LassoCV"] - weights).max() > 0.01
assert (np.abs(found["LassoCV"]) > 0.01).sum() > 5

# %% [markdown]
# `BasisPursuit` finds the five columns to rounding accuracy, without any parameter. The Lasso ends with a positive
# penalty, which shrinks these coefficients and selects a few other columns.
