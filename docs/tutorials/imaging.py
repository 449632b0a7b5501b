# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # An image from few measurements
#
# Most natural signals are sparse in some basis. Few measurements then determine the signal: among all signals that
# agree with the measurements, the one of minimal $l_1$ norm equals or approximates it. The first example is an image
# that is sparse in the cosine basis, measured in single pixels. The second is the reverse, at a size at which the
# measurement matrix is never formed. Every result has a certificate.

# %% [markdown]
# ## A fifth of the pixels
#
# A smooth image, with one in five pixels kept at random:

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
    center, width, height = rng.random(2), rng.uniform(0.12, 0.35, 2), rng.uniform(0.4, 1.0)
    image += height * np.exp(-(((rows - center[0]) / width[0]) ** 2) - ((columns - center[1]) / width[1]) ** 2)
kept = np.sort(rng.permutation(image.size)[: image.size // 5])
pixels = image.ravel()[kept]

# %% [markdown]
# Column $n$ of $A$ contains pattern $n$ of the basis at the kept pixels, so $A x = b$ holds for the coefficients $x$ of
# every image that agrees with these pixels $b$. There are five times as many unknowns as equations:

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
# The status *optimal* is certified: no image that agrees with these pixels has a smaller norm, because `found.dual`
# is a vector $y$ with $|A^\top y| \le 1$ and $b^\top y$ equals that norm. Its verification needs only products with
# $A$:

# %%
proof = pb.certify(A, pixels, found.x, found.dual)
print(f"norm {proof.value:.9f}, lower bound for all images {proof.bound:.9f}, relative difference {proof.gap:.1e}")
assert proof.within(1e-9)

# %% [markdown]
# A pair that is not optimal fails. Here is the same dual vector with the image of minimal energy (least squares),
# which also agrees with the pixels. Its norm is larger than the lower bound:

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
    "kept pixels": shown.reshape(size, size),
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
# Minimal energy sets every missing pixel to 0, because the patterns are orthonormal.

# %% [markdown]
# ## Number of pixels
#
# The same image from other fractions of its pixels. The error falls steeply until the large coefficients are found,
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
# With noisy pixels an exact fit is not desirable. `basis_pursuit(A, b, sigma)` relaxes the constraint to
# $\lVert A x - b \rVert \le \sigma$. The natural $\sigma$ is the norm of the noise, which usually has to be estimated.
# The next cell varies it:

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
# With $\sigma = 0$ the image fits the noise, with many meaningless entries. A large $\sigma$ removes parts of the
# image. In between the error is flat, so an estimate is enough, and a value that is too small costs less than one
# that is too large by the same factor.

# %% [markdown]
# ## A night sky from its cosine transform, without a matrix
#
# Now the image itself is sparse: a dark sky with stars. A measurement is a coefficient of the cosine transform, which
# depends on all pixels, as in interferometry or magnetic resonance imaging. One in sixteen coefficients is kept at
# random. The matrix would fill gigabytes:

# %%
side, stars = 256, 300
sky = np.zeros((side, side))
sky.ravel()[rng.permutation(sky.size)[:stars]] = rng.exponential(size=stars)
frequencies = np.sort(rng.permutation(sky.size)[: sky.size // 16])
print(f"{frequencies.size:,} x {sky.size:,} numbers, {frequencies.size * sky.size * 8 / 2**30:.1f} GiB")
assert frequencies.size * sky.size * 8 > 2**30

# %% [markdown]
# A linear operator needs two functions instead, $x \mapsto A x$ and $y \mapsto A^\top y$. Here both are fast
# transforms. The second must be the exact transpose of the first; check this:


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
# The solver and `certify` accept the operator in place of a matrix. Brightness is nonnegative, which the solver can
# use:

# %%
coefficients = operator @ sky.ravel()
found = pb.basis_pursuit(operator, coefficients, nonnegative=True)
print(found)
print(f"relative error {error_of(found.x, sky.ravel()):.1e}")
proof = pb.certify(operator, coefficients, found.x, found.dual, nonnegative=True)
print(f"gap {proof.gap:.1e}, residual {proof.residual:.1e}, dual infeasibility {proof.dual_infeasibility:.1e}")
assert proof.within(1e-9)
assert found.support.size == stars
assert error_of(found.x, sky.ravel()) < 1e-9

# %% [markdown]
# All stars are found, to rounding accuracy. Few coefficients suffice because each of them depends on every star. Of
# single pixels of this sky, nearly all would be black.
#
# With noise in the coefficients the sky has an error, and the certificate that no sky within $\sigma$ has a smaller
# norm is still exact:

# %%
noise = 0.01 * rng.standard_normal(frequencies.size)
sigma = float(np.linalg.norm(noise))
noisy = pb.basis_pursuit(operator, coefficients + noise, sigma, nonnegative=True)
print(noisy)
print(f"relative error {error_of(noisy.x, sky.ravel()):.3f}; noise {sigma / np.linalg.norm(coefficients):.3f}")
proof = pb.certify(operator, coefficients + noise, noisy.x, noisy.dual, nonnegative=True, sigma=sigma)
assert proof.within(1e-9)

# %% [markdown]
# The result is darker than the true sky, because brightness is penalized: every star loses about the same amount, and
# the faintest vanish. Least squares on the bright entries corrects this:

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
# Other transforms, blurs and compositions are operators in the same way, from SciPy or PyLops. `flow_limit` accepts
# them, too. [Basis pursuit](../basis_pursuit.md) describes the solver, and cases in which others are better.
