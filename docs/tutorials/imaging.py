# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # An image from few measurements
#
# Most natural signals are sparse in some basis. If they are, few measurements determine them: of all signals that agree
# with the measurements, the one of minimal $l_1$ norm is the signal itself, or near to it. First the signal is an image
# that is sparse in the cosine basis, and a measurement is a pixel. Then it is the other way round, at a size at which
# the matrix of measurements is never formed. Every answer comes with a proof that can be checked.

# %% [markdown]
# ## A fifth of the pixels
#
# A smooth image, of which one pixel in five is kept, chosen at random:

# %%
import matplotlib.pyplot as plt
import numpy as np
from scipy import fft
from scipy.sparse.linalg import LinearOperator

import polarbias as pb

rng, size = np.random.default_rng(0), 48
rows, columns = np.mgrid[:size, :size] / size
image = np.zeros((size, size))
for _ in range(6):
    centre, width, height = rng.random(2), rng.uniform(0.12, 0.35, 2), rng.uniform(0.4, 1.0)
    image += height * np.exp(-(((rows - centre[0]) / width[0]) ** 2) - ((columns - centre[1]) / width[1]) ** 2)
kept = np.sort(rng.permutation(image.size)[: image.size // 5])
pixels = image.ravel()[kept]

# %% [markdown]
# Column $n$ of $A$ holds what pattern $n$ of the basis shows in the kept pixels, so that $A x$ = pixels says that the
# image with coefficients $x$ agrees with them. There are five times as many unknowns as equations:

# %%
patterns = fft.idctn(np.eye(image.size).reshape(-1, size, size), axes=(1, 2), norm="ortho")
A = patterns.reshape(image.size, -1).T[kept]
print(A.shape)

# %% [markdown]
# ## The image of minimal norm


# %%
def image_of(x):
    """Return the image with the cosine coefficients x."""
    return fft.idctn(x.reshape(size, size), norm="ortho")


def error_of(shown, truth):
    """Return the relative error in the l2 norm."""
    return np.linalg.norm(shown - truth) / np.linalg.norm(truth)


found = pb.basis_pursuit(A, pixels)
recovered = image_of(found.x)
print(found)
print(f"relative error {error_of(recovered, image):.4f}")
assert error_of(recovered, image) < 0.05

# %% [markdown]
# *Optimal* is no opinion of the solver: no image that agrees with these pixels has a smaller norm, because `found.dual`
# is a vector $y$ with $|A^\top y| \le 1$ whose $b^\top y$ is that norm. Anyone can check it, with products only:

# %%
proof = pb.certify(A, pixels, found.x, found.dual)
print(f"norm {proof.value:.9f}, lower bound for all images {proof.bound:.9f}, relative difference {proof.gap:.1e}")
assert proof.within(1e-9)

# %% [markdown]
# A pair that is not optimal does not pass. Here is the dual vector with another image that agrees with the pixels: what
# minimal energy gives, least squares. Its norm is larger, and the lower bound is the same.

# %%
least_squares = A.T @ np.linalg.solve(A @ A.T, pixels)
energy = image_of(least_squares)
refuted = pb.certify(A, pixels, least_squares, found.dual)
print(
    f"norm {refuted.value:.9f}, lower bound for all images {refuted.bound:.9f}, relative difference {refuted.gap:.2f}"
)
print(f"relative error {error_of(energy, image):.4f}")
assert not refuted.within(1e-9)
assert refuted.residual < 1e-9
assert refuted.gap > 0.1

# %%
shown = np.full(image.size, np.nan)
shown[kept] = pixels
panels = {
    "image": image,
    "what is measured": shown.reshape(size, size),
    "minimal energy": energy,
    "minimal $l_1$ norm": recovered,
}
figure, axes = plt.subplots(1, 5, figsize=(12, 2.7), layout="constrained")
for ax, (title, values) in zip(axes[:4], panels.items(), strict=True):
    drawn = ax.imshow(values, vmin=0, vmax=image.max(), cmap="viridis")
    ax.set(title=title, xticks=[], yticks=[])
drawn = axes[4].imshow(np.abs(recovered - image), cmap="magma")
axes[4].set(title="error of minimal $l_1$", xticks=[], yticks=[])
bar = figure.colorbar(drawn, ax=axes[4])

# %% [markdown]
# Minimal energy leaves every pixel that was not kept at 0, because the patterns are orthonormal.

# %% [markdown]
# ## How many pixels are needed?
#
# The same image from other shares of its pixels. The error falls steeply until the coefficients that matter are found,
# and then slowly with the many small ones: the image is compressible, not exactly sparse.

# %%
shares = np.array([0.03, 0.06, 0.1, 0.15, 0.2, 0.3, 0.4])
order = rng.permutation(image.size)
errors = []
for share in shares:
    some = order[: int(share * image.size)]
    some_found = pb.basis_pursuit(patterns.reshape(image.size, -1).T[some], image.ravel()[some])
    errors.append(error_of(image_of(some_found.x), image))
assert errors[0] > 0.3
assert errors[-1] < 0.01

figure, ax = plt.subplots(figsize=(5, 3.2), layout="constrained")
ax.plot(shares, errors, "o-", color="#1f5fa8")
ax.set(yscale="log", xlabel="share of the pixels", ylabel="relative error", title="Recovery against measurements")
ax.grid(alpha=0.25)

# %% [markdown]
# ## Noise
#
# Measured pixels are noisy, and an image that agrees with all of them is not wanted any more.
# `basis_pursuit(A, b, sigma)` asks for $\lVert A x - b \rVert \le \sigma$. The natural $\sigma$ is the norm of the
# noise; who does not know it has to estimate it. How much does that matter?

# %%
noise = 0.05 * rng.standard_normal(pixels.size)
size_of_noise = np.linalg.norm(noise)
factors = [0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0]
noisy = {factor: pb.basis_pursuit(A, pixels + noise, factor * size_of_noise) for factor in factors}
for factor, answer in noisy.items():
    error = error_of(image_of(answer.x), image)
    print(f"sigma = {factor:4} times the noise: {answer.support.size:3} entries, relative error {error:.4f}")
    checked = pb.certify(A, pixels + noise, answer.x, answer.dual, sigma=factor * size_of_noise)
    assert checked.within(1e-9)

# %%
figure, axes = plt.subplots(1, 4, figsize=(12, 2.9), layout="constrained", width_ratios=[1.35, 1, 1, 1])
axes[0].plot(factors, [error_of(image_of(noisy[factor].x), image) for factor in factors], "o-", color="#1f5fa8")
axes[0].set(xlabel=r"$\sigma$ / norm of the noise", ylabel="relative error", title="Error against $\\sigma$")
axes[0].grid(alpha=0.25)
for ax, factor in zip(axes[1:], (0.0, 1.0, 3.0), strict=True):
    drawn = ax.imshow(image_of(noisy[factor].x), vmin=0, vmax=image.max(), cmap="viridis")
    ax.set(title=rf"$\sigma$ = {factor:g} x noise", xticks=[], yticks=[])

# %%
best_factor = min(factors, key=lambda factor: error_of(image_of(noisy[factor].x), image))
print(f"least error at {best_factor} times the noise")
assert 0 < best_factor <= 1.5
assert noisy[1.0].support.size < noisy[0.0].support.size
assert error_of(image_of(noisy[0.5].x), image) < error_of(image_of(noisy[2.0].x), image)

# %% [markdown]
# With $\sigma = 0$ the noise is fitted, with many entries that mean nothing. Too large a $\sigma$ wipes out what is
# there. In between the error is flat, so that an estimate will do, and one that is too small costs less than one that
# is as much too large.

# %% [markdown]
# ## A night sky from its cosines, without a matrix
#
# Now the image itself is sparse: a dark sky with stars. A measurement is a number that depends on all pixels, a
# coefficient of the cosine transform, as in interferometry or magnetic resonance. One coefficient in sixteen is kept,
# at random. As a matrix this would fill gigabytes:

# %%
side, stars = 256, 300
sky = np.zeros((side, side))
sky.ravel()[rng.permutation(sky.size)[:stars]] = rng.exponential(size=stars)
frequencies = np.sort(rng.permutation(sky.size)[: sky.size // 16])
print(f"{frequencies.size:,} x {sky.size:,} numbers, {frequencies.size * sky.size * 8 / 2**30:.1f} GiB")
assert frequencies.size * sky.size * 8 > 2**30

# %% [markdown]
# A linear operator needs two functions instead, $x \mapsto A x$ and $y \mapsto A^\top y$. Here both are a fast
# transform. The second has to be the exact transpose of the first, which is worth a test:


# %%
def measure(x):
    return fft.dctn(x.reshape(side, side), norm="ortho").ravel()[frequencies]


def adjoint(y):
    spectrum = np.zeros(side * side)
    spectrum[frequencies] = y.ravel()
    return fft.idctn(spectrum.reshape(side, side), norm="ortho").ravel()


operator = LinearOperator((frequencies.size, sky.size), matvec=measure, rmatvec=adjoint, dtype=np.float64)
x, y = rng.standard_normal(sky.size), rng.standard_normal(frequencies.size)
print("<A x, y> - <x, A^T y> =", (operator @ x) @ y - x @ (operator.rmatvec(y)))
assert np.isclose((operator @ x) @ y, x @ operator.rmatvec(y))

# %% [markdown]
# The solver takes it in place of a matrix, and so does `certify`. Stars do not shine negatively, which is worth
# telling.

# %%
coefficients = operator @ sky.ravel()
found = pb.basis_pursuit(operator, coefficients, nonnegative=True)
print(found)
print(f"relative error {error_of(found.x, sky.ravel()):.1e}")
proof = pb.certify(operator, coefficients, found.x, found.dual, nonnegative=True)
print(f"gap {proof.gap:.1e}, residual {proof.residual:.1e}, excess {proof.excess:.1e}")
assert proof.within(1e-9)
assert found.support.size == stars
assert error_of(found.x, sky.ravel()) < 1e-9

# %% [markdown]
# All stars are found, to rounding. That so few coefficients suffice has a reason: every one of them sees every star.
# Had we measured single pixels of this sky, nearly all would have been black.
#
# With noise in the coefficients the sky comes back with an error, and the proof that no sky within $\sigma$ has a
# smaller norm is still exact:

# %%
noise = 0.01 * rng.standard_normal(frequencies.size)
sigma = float(np.linalg.norm(noise))
noisy = pb.basis_pursuit(operator, coefficients + noise, sigma, nonnegative=True)
print(noisy)
print(f"relative error {error_of(noisy.x, sky.ravel()):.3f}; noise {sigma / np.linalg.norm(coefficients):.3f}")
proof = pb.certify(operator, coefficients + noise, noisy.x, noisy.dual, nonnegative=True, sigma=sigma)
assert proof.within(1e-9)

# %% [markdown]
# The answer is a little darker than the sky, because it pays for brightness: every star loses about the same amount,
# and the faintest are lost. Whoever needs the brightness solves least squares on the entries found to be bright:

# %%
bright = np.flatnonzero(noisy.x > 0.1)
unit = np.zeros(sky.size)
columns_of_bright = np.empty((frequencies.size, bright.size))
for place, pixel in enumerate(bright):
    unit[pixel] = 1.0
    columns_of_bright[:, place] = operator @ unit
    unit[pixel] = 0.0
refitted = np.zeros(sky.size)
refitted[bright] = np.linalg.lstsq(columns_of_bright, coefficients + noise)[0]
print(f"{bright.size} entries above 0.1, of which {(sky.ravel()[bright] > 0).sum()} are stars")
print(f"relative error {error_of(noisy.x, sky.ravel()):.3f} before and {error_of(refitted, sky.ravel()):.3f} after")
assert noisy.x.sum() < sky.sum()
assert (noisy.x[sky.ravel() > 0] == 0).any()
assert error_of(refitted, sky.ravel()) < error_of(noisy.x, sky.ravel())

# %%
figure, axes = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
spectrum = np.full(sky.size, np.nan)
spectrum[frequencies] = np.abs(coefficients)
drawn = axes[0].imshow(spectrum.reshape(side, side)[:64, :64], cmap="magma", vmin=0)
axes[0].set(title="a corner of the measured spectrum", xticks=[], yticks=[])
bar = figure.colorbar(drawn, ax=axes[0], label="size of the coefficient")
true = sky.ravel() > 0
brightness = sky.ravel()[true]
axes[1].axhline(0, color="0.6", linewidth=1)
for values, color, label in (
    (noisy.x, "#c1440e", "minimal $l_1$ norm"),
    (refitted, "#1f5fa8", "least squares after it"),
):
    axes[1].plot(brightness, values[true] - brightness, ".", color=color, label=label)
axes[1].set(title="error in the brightness of each star", xlabel="true brightness", ylabel="found - true", xscale="log")
axes[1].grid(alpha=0.25)
legend = axes[1].legend(loc="upper left")

# %% [markdown]
# Other transforms, blurs and compositions are operators in the same way, of SciPy or of PyLops. `flow_limit` takes
# them, too, and [basis pursuit](../basis_pursuit.md) says how the solver works, and when another one is better.
