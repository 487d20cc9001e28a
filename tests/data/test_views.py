"""The papers' views: what they return, and what their randomness depends on."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from jssl import data
from jssl.data.views import statistics

VIEWS = {
    "simclr": (2, 0),
    "moco_v1": (2, 0),
    "moco_v2": (2, 0),
    "ressl": (2, 0),
    "byol": (2, 0),
    "moco_v3": (2, 0),
    "dino": (2, 8),
    "ibot": (2, 10),
    "dinov2": (2, 8),
    "msn": (2, 10),
    "swav": (2, 6),
    "mae": (1, 0),
    "cmae": (2, 0),
    "infomin": (2, 0),
    "npid": (1, 0),
    "siglip": (1, 0),
    "npid_cifar": (1, 0),
    "supcon": (2, 0),
    "invariant_spreading": (2, 0),
    "smog": (2, 0),
    "cpc": (1, 0),
    "cpc_v2": (1, 0),
}


def batch(number=6, side=32, channels=3):
    images = np.random.default_rng(0).integers(0, 256, (number, side, side, channels), np.uint8)
    return {"image": jnp.asarray(images), "index": jnp.arange(number), "label": jnp.arange(number) % 2}


@pytest.mark.parametrize(
    "name, size",
    [(name, 224) for name in VIEWS] + [(name, 32) for name, (_, local) in VIEWS.items() if local],
)
def test_shapes(name, size):
    whole, local = VIEWS[name]
    views = jax.eval_shape(getattr(data.views, name)(size=size), jax.random.key(0), batch(side=40))
    assert views["global"].shape == (whole, 6, size, size, 3) and views["global"].dtype == jnp.float32
    assert ("local" in views) == bool(local)
    if local:
        side = {32: 16, 224: 96}[size]
        assert views["local"].shape == (local, 6, side, side, 3)
    assert views["label"].shape == (6,) and views["index"].shape == (6,) and "image" not in views


def test_views_depend_on_key_and_index_alone():
    views = jax.jit(data.dino(size=16, locals=2))
    full = batch()
    order = jnp.array([4, 0, 5, 2, 1, 3])
    shuffled = {name: values[order] for name, values in full.items()}
    first, again, moved = (views(jax.random.key(1), x) for x in (full, full, shuffled))
    other = views(jax.random.key(2), full)
    for name in ("global", "local"):
        np.testing.assert_array_equal(first[name], again[name])
        np.testing.assert_allclose(first[name][:, order], moved[name], atol=1e-5)
        assert np.isfinite(first[name]).all()
        assert np.abs(first[name] - other[name]).mean() > 0.1
        assert np.abs(first[name][0] - first[name][1]).mean() > 0.1  # views of one image differ
    same = {**full, "image": jnp.broadcast_to(full["image"][:1], full["image"].shape)}
    drawn = views(jax.random.key(1), same)["global"][0]
    assert min(float(jnp.abs(drawn[i] - drawn[j]).mean()) for i in range(6) for j in range(i)) > 0.01


def test_moco_v3s_crops_are_bilinear_and_byols_bicubic(monkeypatch):
    from jssl.data.views import pairs

    found = []

    def crop(method="bilinear", **how):
        found.append(method)
        return data.random_resized_crop(method=method, **how)

    monkeypatch.setattr(pairs, "random_resized_crop", crop)
    pairs.byol(size=8), pairs.moco_v3(size=8)
    assert found == ["bicubic"] * 2 + ["bilinear"] * 2


def test_smogs_views_change_places_for_half_of_the_images(monkeypatch):
    """Which of its two kinds a student sees is drawn for each image, by its number."""
    from jssl.data.views import pairs

    kinds = jnp.stack([jnp.zeros((64, 1, 1, 1)), jnp.ones((64, 1, 1, 1))])
    monkeypatch.setattr(pairs, "two_views", lambda *views: lambda key, batch: {"global": kinds})
    views = pairs.smog(size=8)
    first, second = views(jax.random.key(0), {"index": jnp.arange(64)})["global"].reshape(2, 64)
    np.testing.assert_array_equal(first + second, 1)
    assert 20 < first.sum() < 44
    turned = views(jax.random.key(0), {"index": jnp.arange(64)[::-1]})["global"]
    np.testing.assert_array_equal(turned[0].ravel()[::-1], first)


def test_one_image_at_a_time_gives_the_same_views(monkeypatch):
    crop, jitter = data.random_resized_crop(size=64), data.color_jitter(brightness=0.4, hue=0.1)
    views = data.two_views(data.chain(crop, data.with_probability(0.5, jitter), data.normalize()))
    full, branches, results = batch(5, side=64), [], []
    for devices in (2, 1):  # on one core, large images are taken in turn
        monkeypatch.setattr(jax, "device_count", lambda devices=devices: devices)
        compiled = jax.jit(lambda key, batch: views(key, batch)).lower(jax.random.key(1), full)
        branches.append(compiled.as_text().count("stablehlo.case"))
        results.append(compiled.compile()(jax.random.key(1), full)["global"])
    assert branches[0] < branches[1]  # what is not drawn is skipped
    np.testing.assert_allclose(*results, atol=1e-5)


def test_views_are_the_same_on_eight_devices():
    if jax.device_count() < 8:
        pytest.skip("needs eight devices: XLA_FLAGS=--xla_force_host_platform_device_count=8")
    from jax.sharding import NamedSharding, PartitionSpec

    mesh = jax.make_mesh((8,), ("data",))
    views, full = jax.jit(data.simclr(size=16)), batch(8)
    spread = jax.device_put(full, NamedSharding(mesh, PartitionSpec("data")))
    np.testing.assert_allclose(
        views(jax.random.key(0), full)["global"], views(jax.random.key(0), spread)["global"], atol=1e-5
    )


def test_byol_is_asymmetric():
    images = jnp.asarray(np.random.default_rng(0).integers(0, 256, (24, 64, 64, 3), np.uint8))
    views = jax.jit(data.byol(size=64))(jax.random.key(0), {"image": images, "index": jnp.arange(24)})[
        "global"
    ]
    roughness = jnp.abs(jnp.diff(views, axis=3)).mean((1, 2, 3, 4))
    assert roughness[0] < 0.8 * roughness[1]  # the first is always blurred


@pytest.mark.parametrize(
    "views", [data.mae(size=16), data.views.crops(size=16, locals=2)], ids=["mae", "crops"]
)
def test_crops_without_color(views):
    grey = jnp.full((4, 32, 32, 3), 100, jnp.uint8)
    result = jax.jit(views)(jax.random.key(0), {"image": grey, "index": jnp.arange(4)})
    expected = (100 / 255 - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225])
    for view in (result["global"], result.get("local", result["global"])):
        np.testing.assert_allclose(view, np.broadcast_to(expected, view.shape), atol=1e-4)


def test_one_channel():
    views = jax.jit(data.simclr(size=16))(jax.random.key(0), batch(channels=1))
    assert views["global"].shape == (2, 6, 16, 16, 1) and np.isfinite(views["global"]).all()


def test_evaluation_view():
    images = batch()["image"]
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    np.testing.assert_allclose(
        data.evaluation_view(32)(images), (np.asarray(images) / 255 - mean) / std, atol=1e-5
    )
    assert data.evaluation_view(64)(jnp.zeros((2, 100, 80, 3), jnp.uint8)).shape == (2, 64, 64, 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda b: {k: v for k, v in b.items() if k != "index"}, "needs the entry 'index'"),
        (lambda b: {**b, "image": b["image"][0]}, r"must be \[B, H, W, C\]"),
        (lambda b: {**b, "index": jnp.arange(3)}, "one id per image"),
    ],
)
def test_a_wrong_batch_is_named(change, message):
    with pytest.raises(ValueError, match=message):
        data.simclr(size=16)(jax.random.key(0), change(batch()))


def test_crops_come_from_the_whole_of_an_image_and_from_inside_it():
    """Images of several sizes on one canvas, whose columns tell where they are; what lies beside them is
    255.
    """
    sizes = jnp.array([(40, 64), (64, 20), (64, 64), (9, 50)])
    position = jnp.arange(64)[None, None, :] / sizes[:, 1, None, None]
    inside = (jnp.arange(64)[None, :, None] < sizes[:, 0, None, None]) & (position < 1)
    pixels = jnp.where(inside, jnp.round(position * 200), 255).astype(jnp.uint8)[..., None].repeat(3, -1)
    full = {"image": pixels, "image_size": sizes, "index": jnp.arange(4)}
    views = data.two_views(data.random_resized_crop(size=8, scale=(0.08, 1.0)))
    draw = jax.jit(lambda key: views(key, full))
    seen = [draw(jax.random.key(i)) for i in range(40)]
    assert "image_size" not in seen[0]
    columns = np.concatenate([one["global"] for one in seen])[..., 0] * 255 / 200
    assert columns.max() < 1.0 and columns.min() >= 0  # never what lies beside an image
    assert (columns.min((0, 2, 3)) < 0.08).all() and (columns.max((0, 2, 3)) > 0.88).all()  # all of its width
    alone = data.crop_boxes(data.sample_keys(jax.random.key(0), jnp.arange(4)), (40, 64))
    mixed = data.crop_boxes(data.sample_keys(jax.random.key(0), jnp.arange(4)), tuple(sizes.T))
    np.testing.assert_array_equal(alone[0], mixed[0])  # a box is that of the image by itself


def test_the_evaluation_view_is_the_centre_of_the_whole_image():
    """The short side to 256 and the central 224: of 240 x 320 pixels, 210 from row 15 and column 55 on."""
    row, column = np.meshgrid((np.arange(240) + 0.5) / 240, (np.arange(320) + 0.5) / 320, indexing="ij")
    canvas = np.full((1, 400, 400, 3), 255, np.uint8)
    canvas[0, :240, :320] = np.round(255 * np.stack([row, column, 0 * row], -1))
    view = data.evaluation_view(224, mean=(0,) * 3, std=(1,) * 3)
    seen = np.asarray(view(data.Canvas(jnp.asarray(canvas), jnp.array([[240, 320]])))[0])
    place = (np.arange(224) + 0.5) * 210 / 224
    np.testing.assert_allclose(
        seen[..., 0], np.broadcast_to((15 + place[:, None]) / 240, (224, 224)), atol=0.005
    )
    np.testing.assert_allclose(seen[..., 1], np.broadcast_to((55 + place) / 320, (224, 224)), atol=0.005)
    assert seen[..., 2].max() == 0


@pytest.mark.parametrize("shape", [(40, 60), (33, 32), (1, 8), (2, 1)])
def test_the_evaluation_view_is_resized_and_then_cropped_by_pillow(shape):
    image = np.random.default_rng(0).integers(64, 192, (*shape, 3), dtype=np.uint8)
    canvas = np.full((1, 64, 64, 3), 255, np.uint8)
    canvas[0, : shape[0], : shape[1]] = image
    view = data.evaluation_view(28, fraction=28 / 32, mean=(0,) * 3, std=(1,) * 3)
    seen = np.asarray(view(data.Canvas(jnp.asarray(canvas), jnp.array([shape])))[0]) * 255
    height, width = (side * 32 // min(shape) for side in shape)
    resized = np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC))
    top, left = round((height - 28) / 2), round((width - 28) / 2)
    np.testing.assert_allclose(seen, resized[top : top + 28, left : left + 28], atol=2)


def test_images_of_several_sizes_are_cropped_before_all_else():
    with pytest.raises(TypeError, match="begin with random_resized_crop"):
        data.two_views(data.horizontal_flip())(
            jax.random.key(0), {**batch(), "image_size": jnp.full((6, 2), 20)}
        )
    with pytest.raises(ValueError, match=r"'image_size'\] must be \[6, 2\]"):
        data.simclr(size=16)(jax.random.key(0), {**batch(), "image_size": jnp.full((6,), 20)})


def test_multi_crop_needs_its_parts():
    with pytest.raises(ValueError, match="at least one global view"):
        data.multi_crop()
    with pytest.raises(ValueError, match="needs local_view"):
        data.multi_crop(data.identity, locals=2)


@pytest.mark.parametrize("channels", [1, 3])
def test_views_are_normalised_anew_for_any_number_of_channels(channels):
    made, wanted = statistics("swav"), statistics("clip")
    key, images = jax.random.key(0), batch(channels=channels)
    mean, std = wanted.of(channels)
    given = jax.jit(data.swav(size=16, locals=1))(key, images)
    plain, found = (
        data.views.renormalized(lambda key, batch: given, made, those)(key, images)
        for those in (statistics("simclr"), wanted)
    )
    for name in ("global", "local"):
        assert found[name].shape[-1] == channels
        np.testing.assert_allclose(found[name], (plain[name] - np.array(mean)) / np.array(std), atol=1e-5)
