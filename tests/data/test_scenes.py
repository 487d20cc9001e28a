"""The procedural world: what is said of a scene is what is seen."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jssl.data.sources.scenes as world
from jssl import data


def draw(number=64, side=48, **options):
    return jax.device_get(jax.jit(lambda i: world.render(i, side=side, **options))(jnp.arange(number)))


def test_a_scene_is_a_function_of_split_and_index():
    scenes = draw()
    again = jax.device_get(world.render(jnp.array([40, 3]), side=48))
    for name, values in again.items():
        np.testing.assert_allclose(
            values.astype(float), scenes[name][[40, 3]].astype(float), atol=1.01, err_msg=name
        )
    assert (draw(split="test")["image"] != scenes["image"]).mean() > 0.5
    assert scenes["image"].shape == (64, 48, 48, 3) and scenes["image"].dtype == np.uint8


@pytest.mark.parametrize("split", world.SPLITS)
def test_what_lies_in_memory_is_what_is_drawn(split):
    source, drawn = world.scenes(split=split, count=64, side=48), draw(split=split)
    np.testing.assert_allclose(source.images.astype(int), drawn["image"].astype(int), atol=1)
    for name in world.FIELDS:
        np.testing.assert_allclose(source.extras[name], drawn[name], rtol=1e-4, err_msg=name)


def test_scenes_to_train_and_to_test_on_are_drawn_by_one_program():
    before = world._drawn._cache_size()
    for split in ("train", "test"):
        world.scenes(split=split, count=1, side=9)
    assert world._drawn._cache_size() == before + 1


def test_what_is_said_is_what_is_seen():
    scenes = draw()
    palette = np.array(list(world.COLORS.values()))
    right = 0
    for image, parts, depth, values in zip(
        scenes["image"], scenes["segmentation"], scenes["depth"], scenes["attributes"], strict=True
    ):
        shape, color, position = values[:3]
        inside = (parts == shape + 1) & (depth < 0.45)
        assert inside.sum() > 20
        mean = image[inside].mean(0) / 255
        angle = palette @ mean / np.linalg.norm(palette, axis=1) / np.linalg.norm(mean)
        right += angle.argmax() == color
        rows, columns = np.nonzero(inside)
        offset = np.array([columns.mean(), rows.mean()]) / 47 * 2 - 1
        if position < 4:
            assert np.abs(offset).max() > 0.2
            expected = np.array([(-1, 0), (1, 0), (0, -1), (0, 1)])[position]
            assert (offset @ expected) == np.abs(offset).max() or (offset @ expected) > 0.2
        else:
            assert np.abs(offset).max() < 0.3
    assert right >= 60
    assert (scenes["depth"] >= 0).all() and (scenes["depth"] <= 1).all()
    ground = scenes["segmentation"] == 0
    assert scenes["depth"][ground].min() > scenes["depth"][~ground].max()  # things stand before the ground
    np.testing.assert_array_equal(scenes["label"], scenes["attributes"][:, 0])


def test_captions_and_their_tokens_agree():
    scenes = draw(200, 8)
    for values, tokens in zip(scenes["attributes"], scenes["caption"], strict=True):
        assert " ".join(world.WORDS[token] for token in tokens) == world.caption(values)
    assert len({tuple(row) for row in scenes["attributes"]}) > 150


def test_unseen_pairs_are_never_seen():
    pairs = {
        split: {
            (int(s), int(c)) for s, c in np.asarray(world.attributes(jnp.arange(5000), split=split))[:, :2]
        }
        for split in world.SPLITS
    }
    everything = {(s, c) for s in range(len(world.SHAPES)) for c in range(len(world.COLORS))}
    assert pairs["train"] == pairs["test"] and not pairs["train"] & pairs["unseen"]
    assert pairs["train"] | pairs["unseen"] == everything and len(pairs["unseen"]) == 20
    values = np.asarray(world.attributes(jnp.arange(5000)))
    assert (values[:, 1] != values[:, 5]).all()  # a thing is never on its own color
    for column in range(6):
        counts = np.bincount(values[:, column])
        assert counts.min() > 0.7 * counts.mean()
    with pytest.raises(ValueError, match="split must be one of train, test, unseen"):
        world.attributes(jnp.arange(2), split="val")


def test_resolutions_show_the_same_scene():
    large, small = draw(4, 96)["image"].astype(float), draw(4, 32)["image"].astype(float)
    shrunk = large.reshape(4, 32, 3, 32, 3, 3).mean((2, 4))
    assert np.abs(shrunk - small).mean() < 4


def test_motion_and_sound():
    frames = np.asarray(world.film(jnp.arange(4), side=32, frames=5))
    assert frames.shape == (4, 5, 32, 32, 3)
    np.testing.assert_array_equal(frames[:, 0], draw(4, 32)["image"])
    change = [np.abs(frames[:, i].astype(float) - frames[:, 0]).mean() for i in range(5)]
    assert 0 < change[1] < change[4]
    waves = np.asarray(world.sound(jnp.arange(40), seconds=0.5))
    assert waves.shape == (40, 4000) and np.abs(waves).max() <= 1 and waves.std(1).min() > 0.02
    spectrum = np.abs(np.fft.rfft(waves))
    values = np.asarray(world.attributes(jnp.arange(40)))
    lowest = (spectrum > 0.2 * spectrum.max(1, keepdims=True)).argmax(1) * 2  # hertz
    assert np.median(lowest[values[:, 3] == 0]) > np.median(lowest[values[:, 3] == 1])  # small sounds higher


def test_as_a_source():
    source = world.scenes(side=16, count=600)
    assert source.images.shape == (600, 16, 16, 3) and source.class_names == world.SHAPES
    assert source.extras["caption"].shape == (600, world.CAPTION_LENGTH)
    assert source.extras["depth"].shape == (600, 16, 16)


def test_any_attribute_can_be_the_class():
    shapes, colors = (data.load(name, split="test") for name in ("scenes", "scenes:color"))
    np.testing.assert_array_equal(shapes.images, colors.images)
    assert colors.class_names == tuple(world.COLORS) and shapes.class_names == world.SHAPES
    np.testing.assert_array_equal(
        colors.labels, colors.extras["attributes"][:, world.ATTRIBUTES.index("color")]
    )
    with pytest.raises(ValueError, match="labelled by shape, color.*got 'mood'"):
        data.load("scenes:mood")
