"""The train step: batches in parts, optimizers that ask for the loss, and what is refused."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jssl import init_state, make_step, methods, models, siamese, stateless, train_step
from jssl.arrays.patches import patchify
from jssl.masks import random_mask
from jssl.methods.frames.masked_prediction import masked_prediction
from jssl.methods.frames.pretext import pretext
from jssl.models.headed import with_heads
from tests.methods import toys

VIT = models.ViT(patch=4, dim=8, depth=1, heads=2)
HEAD = models.moco_head(6, hidden=8)
DINO = partial(models.dino_head, hidden=8, bottleneck=4)
TWO, CROPS = toys.noisy(2), toys.noisy(2, crops=1)


def simclr():
    return methods.simclr(toys.Mlp(), head=HEAD)


COUPLED = {
    "moco_v2": (lambda: methods.moco_v2(toys.Mlp(), head=HEAD, queue=16, momentum=0.9, groups=1), TWO),
    "swav": (lambda: methods.swav(VIT, prototypes=6, head=HEAD, queue=32), CROPS),
    "ibot": (lambda: methods.ibot(VIT, prototypes=8, head=DINO, momentum=0.9), TWO),
    "rotation": (lambda: methods.rotation(toys.Mlp()), TWO),
    "slip": (
        lambda: methods.weighted_methods(
            one=(1.0, simclr()),
            other=(0.5, methods.byol(toys.Mlp(), head=HEAD, predictor=HEAD)),
        ),
        TWO,
    ),
}


SGD = optax.sgd(0.1)


def begun(method, views):
    return init_state(method, SGD, views, toys.batch(side=16), key=jax.random.key(0))


def stepped(method, views, state=None, **how):
    """The state after a step, of another or the first, and its metrics."""
    state = begun(method, views) if state is None else state
    return jax.jit(train_step(method, SGD, views, **how))(state, toys.batch(side=16))


@pytest.mark.parametrize("name", COUPLED)
def test_accumulated_exactly_a_step_is_that_of_the_whole_batch(name):
    make, views = COUPLED[name]
    method = make()
    state = begun(method, views)
    (whole, expected), (parts, metrics) = (
        stepped(method, views, state, **how) for how in ({}, dict(accumulate=4, accumulate_exactly=True))
    )
    close = partial(np.testing.assert_allclose, atol=1e-5, rtol=1e-5)
    jax.tree.map(close, metrics, expected)
    for part in ("params", "teacher", "memory"):
        jax.tree.map(close, getattr(parts, part), getattr(whole, part))


def test_accumulated_exactly_batch_statistics_move_once():
    class Normed(nn.Module):
        @nn.compact
        def __call__(self, x, *, train: bool = False):
            return nn.BatchNorm(use_running_average=not train, momentum=0.9)(x.reshape(len(x), -1))

    def views(key, batch):
        return {"global": batch["image"][None], "index": batch["index"]}

    method = siamese(Normed(), stateless(lambda outputs: outputs.student["cls"].mean()))
    state, _ = stepped(method, views, accumulate=4, accumulate_exactly=True)
    found = state.memory["statistics"]["batch_stats"]["BatchNorm_0"]["mean"]
    expected = 0.1 * toys.batch(side=16)["image"].reshape(8, -1).mean(0)
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("parts", [1, 4])
def test_accumulated_exactly_every_part_drops_what_it_draws_itself_in_both_passes(parts):
    class Dropped(nn.Module):
        """Every image -> the weights, half of them dropped."""

        @nn.compact
        def __call__(self, x, *, train: bool = False):
            weight = self.param("weight", nn.initializers.ones, (64,))
            rows = jnp.broadcast_to(weight, (len(x), 64))
            return nn.Dropout(0.5, deterministic=not train)(rows)

    def told(outputs):
        kept = outputs.student["cls"]
        return kept.sum(), {"kept": kept[0]}

    method = siamese(Dropped(), stateless(told))
    state, metrics = stepped(method, toys.noisy(1), accumulate=parts, accumulate_exactly=True)
    kept = np.asarray(metrics["kept"])
    assert len(np.unique(kept, axis=0)) == len(kept) == 8
    np.testing.assert_allclose(state.params["weight"], 1 - 0.1 * kept.sum(0), atol=1e-6)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_targets_made_of_pixels_are_those_of_the_images_before_they_were_cast(accumulate):
    def views(key, batch):
        return {"global": batch["image"][None] / 3, "index": batch["index"]}

    def told(outputs):
        error = jnp.mean(outputs.student["patch"] - outputs.target["patch"])
        return error, {"target": outputs.target["patch"]}

    method = masked_prediction(
        with_heads(VIT, patch=models.pixel_head(4)),
        stateless(told),
        masking=lambda keys, images: random_mask(keys, VIT.grid(images.shape), ratio=0.5),
        target=partial(patchify, patch=4),
    )
    how = dict(dtype=jnp.bfloat16, accumulate=accumulate, accumulate_exactly=True)
    found = stepped(method, views, **how)[1]["target"]
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found[0], patchify(toys.batch(side=16)["image"] / 3, 4), atol=1e-5)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_what_views_and_tasks_give_an_objective_is_not_cast(accumulate):
    def views(key, batch):
        pixels = batch["image"][None] / 3
        return {"global": pixels, "clean": pixels, "target": pixels[0, :, 0, 0], "index": batch["index"]}

    def told(outputs):
        given = dict(outputs.views) | (outputs.target or {})
        return outputs.student["cls"].mean(), {"seen": outputs.student["cls"], "given": given}

    def halved(keys, images):
        return images / 2, {"task": images}

    how = dict(dtype=jnp.bfloat16, accumulate=accumulate, accumulate_exactly=True)
    made = views(None, toys.batch(side=16))
    made = {name: np.asarray(x, np.float32) for name, x in made.items() if name != "index"}
    for method in (
        siamese(toys.Mlp(), stateless(told)),
        pretext(toys.Mlp(), stateless(told), transform=halved),
    ):
        metrics = stepped(method, views, **how)[1]
        assert metrics["seen"].dtype == jnp.bfloat16
        for name, x in made.items():
            np.testing.assert_array_equal(metrics["given"][name], x)
    np.testing.assert_array_equal(metrics["given"]["task"], made["global"][0])


def test_accumulation_that_changes_what_is_compared_says_so():
    method = simclr()
    said = "accumulate=4: a loss that compares .* such as a center, moves after each; accumulate_exactly=True"
    with pytest.warns(UserWarning, match=said):
        make_step(method, optax.sgd(0.1), TWO, accumulate=4)
    state = begun(method, TWO)
    _, parts = stepped(method, TWO, state, accumulate=4)
    assert parts["loss"] < 0.9 * stepped(method, TWO, state)[1]["loss"]  # fewer negatives
    with pytest.raises(ValueError, match="parts=3 must divide the batch"):
        stepped(method, TWO, accumulate=3, accumulate_exactly=True)


def asks():
    """A transformation that keeps what it was given."""

    def init(params):
        return {name: jnp.zeros(()) for name in ("value", "again", "slope")}

    def update(updates, state, params=None, *, value, grad, value_fn, **others):
        return updates, {"value": value, "again": value_fn(params), "slope": optax.tree.norm(grad)}

    return optax.GradientTransformationExtraArgs(init, update)


@pytest.mark.parametrize("how", [{}, dict(accumulate=2, accumulate_exactly=True)])
def test_an_optimizer_is_given_the_loss_its_gradient_and_the_function(how):
    method, batch = simclr(), toys.batch()
    optimizer = optax.chain(asks(), optax.sgd(0.1))
    state = init_state(method, optimizer, TWO, batch, key=jax.random.key(0))
    after, metrics = jax.jit(train_step(method, optimizer, TWO, **how))(state, batch)
    (given, _) = after.opt_state
    np.testing.assert_allclose(given["value"], metrics["loss"])
    np.testing.assert_allclose(given["again"], metrics["loss"], rtol=1e-5)
    np.testing.assert_allclose(given["slope"], metrics["gradient_norm"], rtol=1e-6)


@pytest.mark.parametrize(
    "optimizer",
    [
        optax.chain(optax.sgd(0.01), optax.contrib.reduce_on_plateau(patience=1)),
        optax.polyak_sgd(),
        optax.lbfgs(),
    ],
)
def test_optimizers_that_need_the_loss_lower_it(optimizer):
    method, batch = simclr(), toys.batch()
    still = lambda key, batch: TWO(jax.random.key(0), batch)  # noqa: E731
    state = init_state(method, optimizer, still, batch, key=jax.random.key(0))
    step, losses = jax.jit(train_step(method, optimizer, still)), []
    for _ in range(4):
        state, metrics = step(state, batch)
        losses.append(float(metrics["loss"]))
    assert losses[-1] < losses[0]


IMAGES = np.full((2, 4, 8, 8, 3), 200)
WRONG = {
    "bytes": (IMAGES.astype(np.uint8), r"views\['global'\] are uint8 .*divide them by 255"),
    "bytes as floats": (IMAGES.astype(np.float32), r"views\['global'\] has values beyond 64"),
    "channels first": (np.zeros((2, 4, 3, 8, 8), np.float32), "move the channels last"),
}


@pytest.mark.parametrize("name", WRONG)
def test_images_that_are_no_input_of_a_network_are_refused(name):
    images, message = WRONG[name]
    method, batch = simclr(), {"image": jnp.asarray(images[0]), "index": jnp.arange(4)}

    def views(key, batch):
        return {"global": jnp.stack([batch["image"]] * 2), "index": batch["index"]}

    with pytest.raises(ValueError, match=message):
        init_state(method, optax.sgd(0.1), views, batch, key=jax.random.key(0))


def test_bytes_that_views_make_floats_of_without_dividing_are_refused():
    batch = {"image": jnp.asarray(IMAGES[0], jnp.uint8), "index": jnp.arange(4)}

    def views(key, batch):
        return {"global": jnp.stack([batch["image"].astype(jnp.float32)] * 2), "index": batch["index"]}

    with pytest.raises(ValueError, match=r"views\['global'\] has values beyond 64"):
        init_state(simclr(), optax.sgd(0.1), views, batch, key=jax.random.key(0))


def views_of(**arrays):
    return lambda key, batch: {"index": batch["index"], **arrays}


ONE = jnp.zeros((1, 8, 16, 16, 3))
WITHOUT = {
    "global views": (
        simclr,
        views_of(local=ONE),
        "needs views.'global'",
    ),
    "a dict": (
        simclr,
        lambda key, batch: [batch["image"]] * 2,
        "views are of type list, expected a dict with 'global'",
    ),
    "two views": (
        simclr,
        views_of(**{"global": ONE}),
        "two views .* got 1",
    ),
    "two views between": (
        lambda: methods.byol(toys.Mlp(), head=HEAD, predictor=HEAD),
        views_of(**{"global": ONE}),
        "two views .* got 1",
    ),
    "query and key": (
        lambda: methods.moco_v2(toys.Mlp(), head=HEAD, queue=16, groups=1),
        views_of(**{"global": ONE}),
        "query and key are to differ",
    ),
    "indices": (lambda: methods.simmim(VIT, unit=4), lambda key, batch: {"global": ONE}, "need 'index'"),
}


@pytest.mark.parametrize("name", WITHOUT)
def test_views_that_lack_what_a_method_needs_are_refused(name):
    make, views, message = WITHOUT[name]
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(lambda: stepped(make(), views))


@pytest.mark.parametrize("name", ["mae", "simmim", "i_jepa", "ibot", "mim_contrast"])
def test_an_encoder_without_patches_hides_none(name):
    with pytest.raises(
        TypeError, match=f"{name} hides patches: its encoder needs .patch .* Mlp has no .patch"
    ):
        getattr(methods, name)(toys.Mlp())


def test_views_may_divide_bytes_themselves():
    method, batch = (
        simclr(),
        {"image": jnp.asarray(IMAGES[0], jnp.float32), "index": jnp.arange(4)},
    )

    def views(key, batch):
        return {"global": jnp.stack([batch["image"] / 255] * 2), "index": batch["index"]}

    state = init_state(method, optax.sgd(0.1), views, batch, key=jax.random.key(0))
    assert int(state.step) == 0
