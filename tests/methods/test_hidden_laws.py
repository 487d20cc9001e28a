"""Masked systems: what is hidden changes no prediction, and the loss is each paper's distance, written out in
NumPy.
"""

from functools import cache

import jax
import numpy as np
import pytest

from jssl.objectives import patchify
from tests.law_table import TABLE
from tests.law_toys import batch

PATCH, GRID = 4, (4, 4)


@cache
def seen(name):
    """The images of some views; and images -> what the objective sees, and the loss, under one key."""
    method, views = TABLE[name].make(), TABLE[name].views(jax.random.key(5), batch())
    params, memory = jax.jit(method.init)(jax.random.key(1), views)
    params = jax.tree.map(lambda x: x + 0.1, params)  # away from zeros
    teacher = method.teacher and method.teacher.init(params)

    @jax.jit
    def run(images):
        shown = views | {"global": images}
        rest = teacher, memory, shown, jax.random.key(6)
        outputs, loss = method.outputs(params, *rest), method.loss(params, *rest, 0)[0]
        return outputs._replace(views={x: shown[x] for x in ("clean", "corrupted") if x in shown}), loss

    return views["global"], run


def pixels(mask, views):
    """[V, B, N] of the first views -> the same of the pixels of so many, [views, B, H, W, 1]."""
    grid = np.asarray(mask, np.float32).reshape(*mask.shape[:2], *GRID)
    first = np.kron(grid, np.ones((PATCH, PATCH), np.float32))[..., None]
    return np.concatenate([first, np.zeros((views - len(first), *first.shape[1:]), np.float32)])


@pytest.mark.parametrize(
    "name",
    "mae simmim simmim_swin beit cae maskfeat eva ibot data2vec sdae splitmask cmae mim_contrast".split(),
)
def test_what_is_hidden_changes_what_is_to_be_predicted_and_no_prediction(name):
    images, run = seen(name)
    noise, (found, _) = jax.random.normal(jax.random.key(7), images.shape), run(images)
    under_mask = pixels(found.mask, len(images))
    under, around = (run(images + noise * where)[0] for where in (under_mask, 1 - under_mask))
    np.testing.assert_array_equal(found.student["patch"], under.student["patch"])
    assert np.any(found.target["patch"] != under.target["patch"])
    assert np.any(found.student["patch"] != around.student["patch"])


def hidden(o):
    """Predictions and targets of all hidden patches of the batch, [M, D] and [M, ...]."""
    predicted, target = (np.asarray(x["patch"], np.float64) for x in (o.student, o.target))
    mask = np.asarray(o.mask)
    if o.places is not None:
        places = np.asarray(o.places)
        at = places.reshape(*places.shape, *(1,) * (target.ndim - places.ndim))
        target, mask = np.take_along_axis(target, at, 2), np.arange(at.shape[2]) < mask.sum(-1, keepdims=True)
    return predicted[mask], target[mask]


def unit(x):
    x = np.asarray(x, np.float64)
    return x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-12)


def standard(x):
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, ddof=1, keepdims=True) + 1e-6)


def surprise(logits, labels):
    own = np.take_along_axis(logits, np.asarray(labels, int)[:, None], 1)[:, 0]
    return np.mean(np.log(np.exp(logits).sum(1)) - own)


def found_among(queries, keys, temperature):
    logits = unit(queries) @ unit(keys).T / temperature
    return surprise(logits, np.arange(len(logits)))


def absolute(o):
    predicted, target = hidden(o)
    return np.mean(np.abs(predicted - target))


def square(o):
    predicted, target = hidden(o)
    return np.mean((predicted - target) ** 2)


def square_of_normalized(o):
    predicted, target = hidden(o)
    return np.mean((predicted - standard(target)) ** 2)


def smooth(o, beta):
    far = np.abs(np.subtract(*hidden(o)))
    return np.mean(np.where(far < beta, far**2 / (2 * beta), far - beta / 2))


def angle(o, change=np.asarray):
    predicted, target = hidden(o)
    return np.mean(1 - np.sum(unit(predicted) * unit(change(target)), axis=-1))


def words(o):
    return surprise(*hidden(o))


def words_and_latents(o):
    return words(o) + 2 * np.mean((o.student["latent"] - o.student["aligned"]) ** 2)


def words_of_halves_that_match(o):
    rest = np.asarray(o.student["patch_rest"], np.float64)[~o.mask], np.asarray(o.target["patch"])[~o.mask]
    halves = o.student["image"][0], o.student["image_rest"][0]
    match = [found_among(*pair, 0.2) for pair in (halves, halves[::-1])]
    return words(o) + surprise(*rest) + np.mean(match)


def pixels_and_the_teachers_vector(o):
    pair = o.student["prediction"][0], o.target["prediction"][0]
    return square_of_normalized(o) + 2 * 0.07 * found_among(*pair, 0.07)


def pixels_and_contrast(o):
    views = unit(np.concatenate(o.student["cls"]))
    logits, number = views @ views.T / 0.2, len(views)
    np.fill_diagonal(logits, -np.inf)
    return 0.8 * absolute(o) + 0.2 * surprise(logits, (np.arange(number) + number // 2) % number)


def restored_and_contrasted(o):
    spoiled = np.broadcast_to(o.views["corrupted"][..., None], o.views["clean"].shape)
    clean, spoiled = (np.stack([patchify(view, PATCH) for view in x]) for x in (o.views["clean"], spoiled))
    ours, theirs = o.student["projection"], o.target["projection"]
    contrast = sum(2 * 0.2 * found_among(ours[v], theirs[1 - v], 0.2) for v in (0, 1))
    return contrast + np.mean(np.abs(o.student["patch"] - clean)[spoiled])


def assigned(o):
    """Cross-entropy with sharpened, balanced assignments, and how far all anchors together are from all
    prototypes alike.
    """

    def shares(x):
        powers = np.exp(unit(x) @ unit(o.student["prototypes"]).T / 0.1)
        return powers / powers.sum(-1, keepdims=True)

    anchors, targets = shares(o.student["cls"]), shares(o.target["cls"][0]) ** 4
    targets /= targets.sum(-1, keepdims=True)
    for _ in range(3):
        targets /= targets.sum(0)
        targets /= targets.sum(-1, keepdims=True)
    mean = anchors.mean((0, 1))
    return -np.mean(np.sum(targets * np.log(anchors), -1)) + np.log(len(mean)) + np.sum(mean * np.log(mean))


LOSSES = {
    "mae": square_of_normalized,
    "simmim": absolute,
    "simmim_swin": absolute,
    "beit": words,
    "cae": words_and_latents,
    "maskfeat": square,
    "eva": angle,
    "i_jepa": lambda o: smooth(o, 1.0),
    "data2vec": lambda o: smooth(o, 2.0),
    "sdae": lambda o: angle(o, standard),
    "msn": assigned,
    "splitmask": words_of_halves_that_match,
    "cmae": pixels_and_the_teachers_vector,
    "sit": restored_and_contrasted,
    "mim_contrast": pixels_and_contrast,
}


@pytest.mark.parametrize("name", LOSSES)
def test_the_loss_is_the_papers_distance_over_all_hidden_patches_of_the_batch(name):
    images, run = seen(name)
    outputs, loss = run(images)
    np.testing.assert_allclose(loss, LOSSES[name](jax.device_get(outputs)), rtol=1e-4)
