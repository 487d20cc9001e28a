"""Augmentations against the same definitions written down again in NumPy, colorsys and Pillow."""

import colorsys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from jssl import data
from jssl.data.augment.color import _in_passes, _in_two_looks

RNG = np.random.default_rng(0)
PATCHES = RNG.normal(128, 60, (6, 6, 5, 3)).repeat(8, 1).repeat(8, 2)
IMAGES = np.clip(PATCHES + RNG.normal(0, 12, PATCHES.shape), 0, 255).astype(np.uint8)
KEYS = jax.random.split(jax.random.key(0), 6)


def as_bytes(images):
    return np.asarray(images) * 255


@pytest.mark.parametrize("method", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [16, 33, 64])
def test_a_resized_box_is_pillows(method, size):
    boxes = np.array(
        [[0, 0, 48, 40], [3, 5, 20, 30], [10, 0, 7, 9], [40, 30, 8, 10], [1, 2, 40, 33], [0, 39, 48, 1]]
    )
    boxes_float = jnp.asarray(boxes, jnp.float32)
    ours = as_bytes(data.crop_and_resize(jnp.asarray(IMAGES), boxes_float, size=size, method=method))
    for image, (top, left, height, width), result in zip(IMAGES, boxes, ours, strict=True):
        # Cropped first: a kernel must not look over the edge of the box. In floats Pillow does not round in
        # between.
        cropped = image[top : top + height, left : left + width].astype(np.float32)
        planes = [Image.fromarray(cropped[..., i]) for i in range(3)]
        planes = [
            np.asarray(plane.resize((size, size), Image.Resampling[method.upper()])) for plane in planes
        ]
        expected = np.clip(np.stack(planes, -1), 0, 255)
        np.testing.assert_allclose(result, expected, atol=2e-3)


def sampled_boxes(number, rows, columns, scale, ratio):
    """torchvision's RandomResizedCrop.get_params, said again."""
    rng = np.random.default_rng(1)
    boxes = []
    for _ in range(number):
        for _ in range(10):
            area = rows * columns * rng.uniform(*scale)
            aspect = np.exp(rng.uniform(*np.log(ratio)))
            width, height = round(np.sqrt(area * aspect)), round(np.sqrt(area / aspect))
            if 0 < width <= columns and 0 < height <= rows:
                boxes.append(
                    (rng.integers(0, rows - height + 1), rng.integers(0, columns - width + 1), height, width)
                )
                break
        else:
            width = min(columns, round(rows * ratio[1]))
            height = min(rows, round(columns / ratio[0]))
            boxes.append(((rows - height) // 2, (columns - width) // 2, height, width))
    return np.array(boxes)


@pytest.mark.parametrize("grid", [(48, 40), (32, 32), (20, 90)])
def test_crops_are_distributed_as_torchvisions(grid):
    keys = data.sample_keys(jax.random.key(3), jnp.arange(6000))
    ours = np.asarray(data.crop_boxes(keys, grid))
    theirs = sampled_boxes(6000, *grid, (0.08, 1.0), (3 / 4, 4 / 3))
    assert (
        (ours[:, :2] >= 0).all()
        and (ours[:, 0] + ours[:, 2] <= grid[0]).all()
        and (ours == np.round(ours)).all()
    )
    assert (ours[:, 1] + ours[:, 3] <= grid[1]).all() and (ours[:, 2:] >= 1).all()
    for column in range(4):
        points = np.quantile(theirs[:, column], [0.1, 0.25, 0.5, 0.75, 0.9])
        difference = [(ours[:, column] <= p).mean() - (theirs[:, column] <= p).mean() for p in points]
        assert np.abs(difference).max() < 0.04  # over four standard deviations


def test_color_is_pillows():
    factors = np.array([0.2, 0.7, 1.0, 1.3, 1.8, 0.0], np.float32)
    for ours, theirs in [
        (data.adjust_brightness, ImageEnhance.Brightness),
        (data.adjust_contrast, ImageEnhance.Contrast),
        (data.adjust_saturation, ImageEnhance.Color),
    ]:
        results = as_bytes(ours(jnp.asarray(IMAGES), jnp.asarray(factors)))
        for image, factor, result in zip(IMAGES, factors, results, strict=True):
            expected = np.asarray(theirs(Image.fromarray(image)).enhance(float(factor)), np.float64)
            assert np.abs(result - expected).max() < 2.1  # Pillow rounds the grey value before the result


def test_hue_is_colorsys():
    shifts = np.array([-0.5, -0.2, 0.0, 0.1, 0.35, 0.5], np.float32)
    results = np.asarray(data.adjust_hue(jnp.asarray(IMAGES), jnp.asarray(shifts)))
    for image, shift, result in zip(IMAGES, shifts, results, strict=True):
        for row, column in RNG.integers(0, 40, (40, 2)):
            hue, saturation, value = colorsys.rgb_to_hsv(*(image[row, column] / 255.0))
            expected = colorsys.hsv_to_rgb((hue + float(shift)) % 1, saturation, value)
            np.testing.assert_allclose(result[row, column], expected, atol=2e-5)


def test_jitter_is_its_parts_in_some_order():
    strengths = dict(brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1)
    image = np.repeat(IMAGES[:1], 400, 0)[:, ::6, ::6]
    jitter = jax.jit(data.color_jitter(**strengths))
    jittered = np.asarray(jitter(data.sample_keys(jax.random.key(1), jnp.arange(400)), image))
    assert np.isfinite(jittered).all() and jittered.min() >= 0 and jittered.max() <= 1
    assert len({round(float(x.sum()), 3) for x in jittered}) > 380  # every image its own
    # With only brightness the factor is readable, and uniform in [0.6, 1.4].
    dark = jnp.full((4000, 2, 2, 3), 0.5)
    factor = np.asarray(
        data.color_jitter(brightness=0.4)(data.sample_keys(jax.random.key(2), jnp.arange(4000)), dark)
    )
    factor = factor[:, 0, 0, 0] / 0.5
    assert 0.6 <= factor.min() < 0.61 and 1.39 < factor.max() <= 1.4 and abs(factor.mean() - 1) < 0.02
    # Brightness 0 ... 2 of a grey picture with contrast 0: the order cannot matter, of color with saturation
    # it does.
    np.testing.assert_allclose(data.color_jitter()(KEYS, IMAGES), IMAGES / 255.0, atol=1e-6)


@pytest.mark.parametrize("channels", [3, 1])
def test_two_looks_at_an_image_are_as_many_passes(channels):
    images = jnp.asarray(np.repeat(IMAGES[:, ::4, ::4, :channels], 16, 0) / 255.0, jnp.float32)
    rng = np.random.default_rng(3)
    factors = rng.uniform(0.2, 1.8, (len(images), 3))
    weights = np.zeros((len(images), 3, 3))  # brightness, contrast, saturation; own, grey and mean grey
    weights[..., 0] = factors
    weights[:, 1, 2], weights[:, 2, 1] = 1 - factors[:, 1], 1 - factors[:, 2]
    orders = np.argsort(rng.random((len(images), 3)), 1)
    weights = jnp.asarray(np.take_along_axis(weights, orders[..., None], 1), jnp.float32)
    place = jnp.asarray(rng.integers(0, 4, len(images)), jnp.float32)
    turn = jnp.asarray(rng.uniform(-0.5, 0.5, len(images)), jnp.float32)
    assert len({(*order, float(at)) for order, at in zip(orders, place, strict=True)}) > 18
    looks, passes = (
        np.asarray(jax.jit(way)(images, weights, place, turn)) for way in (_in_two_looks, _in_passes)
    )
    np.testing.assert_allclose(looks, passes, atol=5e-6)
    assert np.abs(passes - images).max() > 0.1


@pytest.mark.parametrize(("sigma", "kernel"), [(0.3, 5), (1.1, 9), (2.0, 23)])
def test_blur_is_a_gaussian_with_reflected_borders(sigma, kernel):
    radius = kernel // 2
    offset = np.arange(-radius, radius + 1)
    taps = np.exp(-(offset**2) / (2 * sigma**2))
    taps /= taps.sum()
    for image in (IMAGES[:1], IMAGES[:1, :40]):  # oblong and square take different ways
        expected = image / 255.0
        for axis in (1, 2):
            border = [(0, 0)] * 4
            border[axis] = (radius, radius)
            padded = np.pad(expected, border, mode="reflect")
            expected = np.apply_along_axis(lambda line: np.convolve(line, taps, "valid"), axis, padded)
        result = data.blur(data.as_float(jnp.asarray(image)), jnp.array([sigma]), kernel=kernel)
        np.testing.assert_allclose(result, expected, atol=1e-6)


def test_thresholds_and_histograms_are_pillows():
    def pillow(function, *arguments):
        return np.stack([np.asarray(function(Image.fromarray(image), *arguments)) for image in IMAGES])

    images = jnp.asarray(IMAGES)
    np.testing.assert_allclose(as_bytes(data.equalize(images)), pillow(ImageOps.equalize), atol=1e-3)
    posterized = as_bytes(data.posterize(images, jnp.full(6, 3)))
    np.testing.assert_allclose(posterized, pillow(ImageOps.posterize, 3), atol=1e-3)
    np.testing.assert_allclose(
        as_bytes(data.solarize()(KEYS, images)), pillow(ImageOps.solarize, 128), atol=1e-3
    )
    assert np.abs(as_bytes(data.autocontrast(images)) - pillow(ImageOps.autocontrast)).max() < 1.01
    grey = as_bytes(data.grayscale()(KEYS, images))
    assert np.abs(grey - pillow(lambda image: image.convert("L").convert("RGB"))).max() < 1


def test_equalize_leaves_a_constant_image():
    constant = jnp.full((1, 8, 8, 3), 77, jnp.uint8)
    np.testing.assert_allclose(as_bytes(data.equalize(constant)), 77, atol=1e-4)
    np.testing.assert_allclose(as_bytes(data.autocontrast(constant)), 77, atol=1e-4)


def test_warps_turn_and_shift():
    square = jnp.asarray(IMAGES[:, :40])
    turned = data.warp(square, jnp.broadcast_to(data.affine(angle=np.pi / 2), (6, 2, 3)))
    np.testing.assert_allclose(as_bytes(turned), np.rot90(IMAGES[:, :40], 1, (1, 2)), atol=0.1)
    shifted = data.warp(square, jnp.broadcast_to(data.affine(shift_x=3.0, shift_y=-2.0), (6, 2, 3)))
    np.testing.assert_allclose(as_bytes(shifted)[:, :-2, 3:], IMAGES[:, 2:40, :-3], atol=1e-2)
    assert as_bytes(shifted)[:, :, :3].max() < 1e-6
    turns = jnp.arange(6) % 4
    expected = np.stack(
        [np.rot90(image, turn) for image, turn in zip(IMAGES[:, :40], np.asarray(turns), strict=True)]
    )
    np.testing.assert_array_equal(data.quarter_turns(square, turns), expected)


def test_no_fringes_are_left_and_grey_stays():
    images = jnp.asarray(IMAGES) / 255
    shifted = images + 0.1 * jnp.array([-1.0, 2.0, -1.0])
    clean = data.without_fringes()(KEYS, images)
    np.testing.assert_allclose(data.without_fringes()(KEYS, shifted), clean, atol=1e-5)
    first = 0.8333 * images[..., 0] + 0.3333 * images[..., 1] - 0.1667 * images[..., 2]
    np.testing.assert_allclose(clean[..., 0], first, atol=2e-4)  # as the authors' code has it
    grey = data.grayscale()(KEYS, images)
    np.testing.assert_allclose(data.without_fringes()(KEYS, grey), grey, atol=1e-5)


def test_randaugment_at_zero_is_nearly_nothing_and_at_nine_is_not():
    def change(magnitude, **how):
        out = data.randaugment(count=1, magnitude=magnitude, **how)(
            data.sample_keys(jax.random.key(0), jnp.arange(64)), many
        )
        assert np.isfinite(out).all() and out.min() >= 0 and out.max() <= 1
        return np.abs(np.asarray(out) - many / 255.0).mean((1, 2, 3))

    many = np.tile(IMAGES[:, :16, :16], (11, 1, 1, 1))[:64]
    assert np.median(change(0)) < 1e-3 < np.median(change(5))
    always, half, never = (change(10, probability=p) > 1e-3 for p in (1.0, 0.5, 0.0))
    assert not never.any() and 0 < half.sum() < always.sum() and not (half & ~always).any()


def test_mixing_keeps_the_sum_of_targets_and_cutout_its_square():
    targets = jnp.eye(6)
    for mix in (data.mixup, data.cutmix):
        images, mixed = mix(jax.random.key(1), jnp.asarray(IMAGES), targets, alpha=1.0)
        np.testing.assert_allclose(mixed.sum(-1), 1, rtol=1e-6)
        # What the targets say was mixed is what was mixed: white stands for one's own, black for the
        # neighbour's.
        own = jnp.zeros((6, 40, 40, 3)).at[0].set(1.0)
        shown, weights = mix(jax.random.key(1), own, targets, alpha=1.0)
        np.testing.assert_allclose(shown[0].mean(), weights[0, 0], atol=1e-5)
        np.testing.assert_allclose(shown[1].mean(), weights[1, 0], atol=1e-5)
        assert images.shape == IMAGES.shape
    hidden = np.asarray(data.cutout(side=10)(KEYS, jnp.ones((6, 40, 40, 3)))) == 0
    assert (hidden.sum((1, 2, 3)) <= 300).all() and hidden.sum() > 0
    with pytest.raises(ValueError, match="targets must be"):
        data.mixup(jax.random.key(0), jnp.asarray(IMAGES), jnp.arange(6))


def test_random_erasing_fills_rectangles_of_timms_sizes_with_noise():
    keys = data.sample_keys(jax.random.key(0), jnp.arange(1000))
    seen = np.asarray(data.random_erasing()(keys, jnp.full((1000, 30, 40, 1), 9.0)))
    erased = (seen != 9)[..., 0]
    rows, columns = erased.any(2).sum(1), erased.any(1).sum(1)
    np.testing.assert_array_equal(rows * columns, erased.sum((1, 2)))  # rectangles, without holes
    assert (rows < 30).all() and (columns < 40).all() and (rows > 0).all()
    share = erased.mean((1, 2))
    assert 0.015 < share.min() < 0.025 and 0.3 < share.max() < 0.35 and 0.15 < share.mean() < 0.19
    noise = seen[..., 0][erased]
    assert abs(noise.mean()) < 0.01 and noise.std() == pytest.approx(1, abs=0.01)
    same = data.random_erasing(aspect=(50.0, 60.0))(keys[:2], jnp.ones((2, 8, 8, 3)))  # none of which fits
    np.testing.assert_array_equal(same, 1)


def test_fine_tuning_erases_a_quarter_of_the_images():
    from jssl.experiments import FineTune

    white = {"image": jnp.full((400, 16, 16, 3), 255, jnp.uint8), "index": jnp.arange(400)}

    def seen(erasing):
        views = FineTune(size=16).make_views(None, magnitude=0, erasing=erasing)
        return np.asarray(jax.jit(views)(jax.random.key(0), white)["global"][0])

    changed = (np.abs(seen(FineTune().erasing) - seen(0.0)) > 1e-3).any((1, 2, 3))
    assert FineTune().erasing == 0.25 and 0.17 < changed.mean() < 0.33


def test_draws_are_uniform_and_independent():
    from jssl.data.augment.base import fold_keys, uniform

    keys = data.sample_keys(jax.random.key(0), jnp.arange(3000))
    draws = np.concatenate([np.asarray(uniform(fold_keys(keys, n), shape=(4,))) for n in range(3)], 1)
    histogram = np.histogram(draws, 50, (0, 1))[0]
    assert ((histogram - 720) ** 2 / 720).sum() < 95  # chi squared of 49 degrees, p = 1e-4
    correlation = np.corrcoef(draws.T) - np.eye(12)
    assert np.abs(correlation).max() < 0.075  # four standard deviations
    neighbours = np.corrcoef(draws[:-1, 0], draws[1:, 0])[0, 1]
    assert abs(neighbours) < 0.075


def test_with_probability_and_chain():
    keys = data.sample_keys(jax.random.key(5), jnp.arange(2000))
    images = jnp.zeros((2000, 1, 1, 3))
    lit = data.with_probability(0.3, lambda keys, images: images + 1)(keys, images)
    assert abs(float(lit.mean()) - 0.3) < 0.04
    twice = data.chain(*[data.with_probability(0.5, lambda keys, images: images + 1)] * 2)(keys, images)
    counts = np.bincount(np.asarray(twice[:, 0, 0, 0]).astype(int), minlength=3) / 2000
    np.testing.assert_allclose(counts, [0.25, 0.5, 0.25], atol=0.05)  # the two draws are independent


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: data.with_probability(1.5, data.identity), "probability must lie"),
        (lambda: data.gaussian_blur(kernel=4), "kernel must be odd"),
        (lambda: data.color_jitter(hue=0.7), "hue at most 0.5"),
        (lambda: data.random_resized_crop(size=8, scale=(0.0, 1.0)), "scale must be"),
        (lambda: data.randaugment(magnitude=31), "magnitude must lie"),
        (lambda: data.randaugment(probability=2.0), "probability must lie"),
        (lambda: data.as_float(jnp.zeros((4, 4, 3))), r"\[B, H, W, C\]"),
        (lambda: data.resize(size=8, method="lanczos")(KEYS, IMAGES), "method must be one of"),
    ],
)
def test_wrong_settings_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
