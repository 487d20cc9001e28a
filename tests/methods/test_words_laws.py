"""OBoW's bags of words, against the same written out in NumPy, and what its dictionary remembers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jssl import objectives as o
from jssl.arrays.vectors import unit
from jssl.data.views import obow
from jssl.data.views.whole import grid_patches
from jssl.models import obow_generator
from tests.law_table import TABLE
from tests.methods import toys

B, W, C, D, SIDE = 4, 12, 6, 5, 6


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    maps, words = rng.normal(size=(B, SIDE, SIDE, C)), np.maximum(rng.normal(size=(W, C)), 0)
    return maps, words, rng.normal(size=(3, B, D)), rng.normal(size=(C, D))


def written_out(maps, words, z, weights, *, inverse_delta, kappa):
    """One level's loss of two global views and a local one: the formulas, place by place."""
    bags, nearest = [], []
    for image in maps:
        places = image[1:-1, 1:-1].reshape(-1, C)
        distances = ((places[:, None] - words[None]) ** 2).sum(-1)
        nearest.append(distances.min(1).mean())
        bags.append(distances)
    mean = 0.99 * 0.5 + 0.01 * np.mean(nearest)
    losses = np.zeros((len(z), B))
    for b, distances in enumerate(bags):
        e = np.exp(-inverse_delta / mean * (distances - distances.min(1, keepdims=True)))
        bag = (e / e.sum(1, keepdims=True)).max(0)
        bag = bag / bag.sum()
        for v in range(len(z)):
            logits = kappa * weights @ z[v, b]
            log_p = logits - np.log(np.exp(logits).sum())
            losses[v, b] = (bag * (np.log(bag) - log_p)).sum()
    return losses[:2].mean() + losses[2:].mean(), mean


def test_a_step_is_that_of_the_formulas(arrays):
    maps, words, z, projection = arrays
    with jax.enable_x64(True):
        objective = o.bag_prediction(
            lambda p, rows, dim: rows @ p, levels=("map",), words=W, inverse_delta=3.0, kappa=2.0
        )
        outputs = o.Outputs(
            {"cls": z, "generators": {"map": projection}},
            {"map": (maps[None],)},
            views={"index": jnp.arange(B), "global": np.zeros((2, B))},
        )
        dictionary = {"queue": words, "pointer": np.array(W - B), "distance": np.array(0.5)}

        def loss_of(student):
            loss, *rest = objective.apply({"map": dictionary}, outputs._replace(student=student), 3)
            return loss, rest

        judged = jax.jit(jax.value_and_grad(loss_of, has_aux=True))
        (loss, (memory, metrics)), slopes = judged(outputs.student)
        assert np.any(slopes["cls"]) and np.any(slopes["generators"]["map"])
        weights = words @ projection
        expected, mean = written_out(maps, words, z, weights, inverse_delta=3.0, kappa=2.0)
        np.testing.assert_allclose(loss, expected, rtol=1e-9)
        np.testing.assert_allclose(memory["map"]["distance"], mean, rtol=1e-9)
        after = np.asarray(memory["map"]["queue"])
        changed = np.flatnonzero((after != words).any(1))
        assert changed.tolist() == list(range(W - B, W)) and memory["map"]["pointer"] == 0
        blocks = np.lib.stride_tricks.sliding_window_view(maps[:, 1:-1, 1:-1], (3, 3), axis=(1, 2)).mean(
            (-1, -2)
        )
        for b in range(B):  # each new word is the mean of 3 x 3 places of its own image
            assert np.isclose(blocks[b].reshape(-1, C), after[W - B + b]).all(1).any()
        assert 1 < metrics["image_words/map"] < metrics["batch_words/map"] <= W


def test_a_bag_does_not_know_where_its_words_were(arrays):
    maps, words, *_ = arrays
    distances = o.word_distances(maps.reshape(B, -1, C), words)
    bag = o.bag_of_words(distances, sharpness=2.0)
    np.testing.assert_allclose(bag.sum(-1), 1, rtol=1e-5)
    order = np.random.default_rng(1).permutation(SIDE**2)
    np.testing.assert_allclose(o.bag_of_words(distances[:, order], sharpness=2.0), bag, rtol=1e-5)
    names = np.random.default_rng(2).permutation(W)
    np.testing.assert_allclose(o.bag_of_words(distances[..., names], sharpness=2.0), bag[:, names], rtol=1e-5)
    hard = np.zeros((B, W))
    for b, nearest in enumerate(np.asarray(distances.argmin(-1))):
        hard[b, nearest] = 1
    found = o.bag_of_words(distances, sharpness=1e5)
    np.testing.assert_allclose(found, hard / hard.sum(1, keepdims=True), atol=1e-4)
    np.testing.assert_allclose(o.bag_divergence(jnp.log(bag), bag), 0, atol=1e-5)
    shuffled = o.bag_divergence(jnp.log(bag), jnp.roll(bag, 1, axis=0))
    assert (shuffled > 1e-2).all()  # another image's bag


def test_renaming_words_renames_their_weights():
    rows = jax.random.normal(jax.random.key(0), (W, C))
    head = obow_generator(D)
    variables = head.init(jax.random.key(1), rows)
    assert set(variables) == {"params"}  # no running statistics
    order = np.random.default_rng(0).permutation(W)
    weights = head.apply(variables, rows)
    np.testing.assert_allclose(head.apply(variables, rows[order]), weights[order], atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(weights, axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(unit(weights), weights, atol=1e-5)


def test_the_teacher_has_no_generators_and_small_maps_are_refused():
    method, views = TABLE["obow"].make(), TABLE["obow"].views

    def first(views, side):
        return jax.eval_shape(
            lambda: method.init(jax.random.key(0), views(jax.random.key(0), toys.batch(side=side)))
        )

    params, _ = first(views, 16)
    assert set(params) == {"encoder", "generators"} and set(method.teacher.init(params)) == {"encoder"}
    with pytest.raises(ValueError, match=r"'layer2'.* expected maps .* of at least 5 x 5"):
        first(views, 8)
    with pytest.raises(ValueError, match=r"needs views\['whole'\]"):
        first(toys.noisy(2), 16)


def test_patches_come_from_different_cells():
    rows, columns = np.meshgrid(np.arange(32), np.arange(32), indexing="ij")
    image = jnp.asarray(np.stack([rows, columns, rows], -1), jnp.float32)
    keys = jax.random.split(jax.random.key(0), 3)
    patches = grid_patches(keys, jnp.broadcast_to(image, (3, 32, 32, 3)), side=12, jitter=2, count=5)
    assert patches.shape == (5, 3, 12, 12, 3)
    corners = np.asarray(patches[:, :, 0, 0, :2])
    np.testing.assert_array_equal(patches[:, :, -1, -1, :2], corners + 11)
    for b in range(3):
        cells = {tuple(corner // 9) for corner in corners[:, b].astype(int)}  # cells begin at 0, 9 and 18
        assert len(cells) == 5
    views = jax.eval_shape(
        obow(size=224),
        jax.random.key(0),
        {
            "image": jax.ShapeDtypeStruct((2, 256, 256, 3), np.uint8),
            "index": jax.ShapeDtypeStruct((2,), np.int32),
        },
    )
    shapes = {name: views[name].shape[:3] for name in ("whole", "global", "local")}
    assert shapes == {"whole": (1, 2, 224), "global": (2, 2, 160), "local": (5, 2, 96)}
    with pytest.raises(ValueError, match="expected 1 to 9 patches that fit"):
        grid_patches(keys, jnp.zeros((3, 8, 8, 3)), side=12, jitter=2, count=5)


def test_a_collapse_shows_as_few_words_of_an_image_and_of_the_batch():
    """Of maps that are one word everywhere both figures are 1; of images that are one word each, one is."""
    words = 4 * jnp.eye(W, C)
    objective = o.bag_prediction(lambda p, rows, dim: rows @ p, levels=("map",), words=W)

    def told(tokens):
        maps = jnp.broadcast_to(tokens[:, None, None], (B, SIDE, SIDE, C))
        student = {"cls": jnp.zeros((1, B, D)), "generators": {"map": jnp.zeros((C, D))}}
        views = {"index": jnp.arange(B), "global": jnp.zeros((1, B))}
        outputs = o.Outputs(student, {"map": maps[None]}, views=views)
        memory = {"map": objective.init(outputs)["map"] | {"queue": words}}
        metrics = objective.apply(memory, outputs, 0)[2]
        return [float(metrics[f"{kind}_words/map"]) for kind in ("image", "batch")]

    assert told(words[jnp.zeros(B, int)]) == pytest.approx([1, 1], abs=1e-3)
    assert told(words[:B]) == pytest.approx([1, B], abs=1e-3)
