# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Sparse regression
#
# The estimators of `polarbias.estimator` follow scikit-learn's conventions, so that they go into pipelines, grid
# searches and cross-validation. This page sets them beside least squares and the Lasso on real data, in which most
# columns are noise that we add. They are not made for this: they come from problems in which $A x = b$ holds. It shows
# what each is good for, and where the Lasso is the better choice.

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
# The diabetes data that come with scikit-learn: a measure of progression, and ten features of each patient. The *tall*
# set has nearly all patients and 100 columns of noise beside the ten features. The *wide* set has more columns than
# rows: some of the patients, the features and all products of two of them, and 200 columns of noise.

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
# Those that interpolate, or come as near to it as the rows allow:
#
# - `LinearRegression`, least squares; where columns outnumber rows, with the smallest $l_2$ norm.
# - `BasisPursuit`, the same error with the smallest $l_1$ norm. Where the least squares solution is unique, it is that.
# - `DiagonalLinearRegressor`, the point at which gradient flow with weight normalization ends.
#
# Those that stop before:
#
# - `LassoCV`, which chooses its penalty by cross-validation along a whole path.
# - `BasisPursuitDenoise`, the smallest $l_1$ norm with a root mean square error of at most `sigma`.
# - `DiagonalLinearRegressor(method="descent")`, which stops early: at the step that predicts a tenth of the samples
#   best that was kept aside (`"validation"`), or at a root mean square error.
#
# An error to stop at is a parameter that has to be chosen, here by a grid search over the same four values for both.

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
# Five folds, the same for all models; columns are scaled inside the pipeline, from the training rows only. `error` is
# the root mean square error on the rows left out, `to Lasso` the mean difference to `LassoCV` on the same rows and `+-`
# its standard error. `columns` counts coefficients above 1% of the largest, `noise` those of them that belong to noise.
# `time` is the median of five fits in seconds, all choices of parameters included. `first` is the longest: the first
# descent at each number of rows is compiled.


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
# What the tables say:
#
# - *Whatever interpolates predicts badly.* Its error is not far from the standard deviation of the target, which is
#   what a constant would have. The target is noisy, and to fit it exactly, or as well as the columns allow, is to fit
#   the noise. A small $l_1$ norm does not help. In the tall set the three models are even the same, because least
#   squares has one solution, and nothing is left for a bias to choose.
# - *Whatever stops at a chosen error is about as good as the Lasso.* In the wide set both are ahead of it. But the four
#   values of the grid are a favour: they surround the error that can be reached on these data, while `LassoCV` begins
#   with nothing. `BasisPursuitDenoise`, which is the Lasso in other words, gains from the same favour.
# - `BasisPursuitDenoise` has the Lasso's solutions, with a bound in place of a penalty: to each `sigma` there is a
#   penalty with the same solution. What differs is how the parameter is chosen. `LassoCV` follows a path of a hundred
#   penalties, each from the solution before, and a grid search solves every problem from scratch, so that each value
#   costs much more. For prediction take `LassoCV`. Take `BasisPursuitDenoise` if the level of the noise is known, or if
#   a proof of optimality is wanted (`dual_`, `gap_`).
# - The coefficients of the network with early stopping are all different from 0, and the count above depends on where
#   one draws the line; those of the Lasso are exact zeros. `"validation"` needs no grid, but gives up a tenth of the
#   rows and trusts so few that its error varies most from fold to fold. Compilation comes on top of the time, once for
#   each number of rows.

# %% [markdown]
# ## One picture
#
# Why are they so similar? Each is a path of models, from zero to interpolation, and along the way passes similar
# points. Here are the paths on one split of the wide set: the error on test rows against the error on training rows,
# for the Lasso's penalties, for some values of `sigma`, and for the steps of descent, from the same start with and
# without weight normalization.

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
# The circles lie on the Lasso's curve, as they must. Descent takes other ways, and its curve is ragged where long steps
# of the line search overshoot. On this split it dips lower than the Lasso, plain descent lowest; one split of so few
# rows proves nothing, and the table above has no such gap. What all paths share is the rise on the right. With large
# noise nobody wants their ends, and the ends are where the bias of the networks is known exactly.

# %% [markdown]
# ## Where interpolation is right
#
# Data without noise are another matter, when the target is an exact combination of a few of many columns: a law to be
# found, a signal that was measured well. The same real columns, and a target made of five of them:

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
# `BasisPursuit` finds the five columns to rounding, and has no parameter to choose. The Lasso ends with a penalty above
# 0, which shrinks what is there and lets a few other columns in.
