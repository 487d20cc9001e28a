"""AttMask hides what its rule says; with attention that is noise it is iBOT with random masks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jssl import collecting, methods, models
from jssl.arrays.keys import batch_key, fold_keys, uniform
from jssl.masks import Masking, attention_mask, hint_attention_mask, low_attention_mask
from jssl.methods.attended import sometimes_attended
from tests.methods import toys
from tests.methods.test_distillation_laws import HEAD
from tests.objectives.golden_numbers import load

VIT = models.ViT(patch=4, dim=16, depth=1, heads=2)
IMAGES = jnp.zeros((40, 16, 16, 3))
ATTENTION = jax.random.uniform(jax.random.key(0), (40, 2, 17))


def drawn(hides, attention=ATTENTION, **settings):
    masking = sometimes_attended(VIT, hides=hides, ratio=(0.3, 0.6), show=0.2, **settings)
    return np.asarray(masking(jax.random.split(jax.random.key(1), 40), IMAGES, {"attention": (attention,)}))


def test_the_masks_are_the_authors():
    c = load("attmask")
    attention = jnp.asarray(c.in_cls_attention_rows[..., 1:].mean(1))
    for ratio in (c.hp_mask_ratio, jnp.float32(c.hp_mask_ratio)):  # a number, and one that may be traced
        np.testing.assert_array_equal(attention_mask(attention, ratio=ratio), c.out_mask_high)
        np.testing.assert_array_equal(low_attention_mask(attention, ratio=ratio), c.out_mask_low)
        keys = jax.random.split(jax.random.key(0), len(attention))
        hint = np.asarray(hint_attention_mask(keys, attention, ratio=ratio, show=c.hp_show_max))
        np.testing.assert_array_equal(hint.sum(1), c.out_mask_hint_example.sum(1))
        assert not (hint & ~c.out_mask_high).any()


@pytest.mark.parametrize("hides", ["high", "hint", "low"])
def test_every_hidden_patch_is_attended_to_more_than_every_visible_one_or_less(hides):
    attention = np.asarray(ATTENTION[..., 1:].mean(1)) * (-1 if hides == "low" else 1)
    hidden = drawn(hides, probability=1.0)
    top = np.argsort(np.argsort(-attention)) < 3  # int(0.2 * 16), of which hints show some
    counts = hidden.sum(1)
    assert len(set(counts)) == 1 and 4 <= counts[0] <= 9  # one share for the batch
    for values, mask, shown in zip(attention, hidden, top & (hides == "hint"), strict=True):
        assert values[mask].min() > values[~mask & ~shown].max()
    revealed = (top & ~hidden).sum(1)
    assert (revealed == (1 if hides == "hint" else 0)).all()  # int(0.2 * share * 16)
    sometimes = drawn(hides, probability=0.5)
    some = sometimes.any(1)
    assert 8 < some.sum() < 32 and np.array_equal(sometimes[some], hidden[some])


def test_permuting_patches_permutes_the_mask_and_equal_attention_hides_the_count():
    order = jax.random.permutation(jax.random.key(2), 16)
    mixed = jnp.concatenate([ATTENTION[..., :1], ATTENTION[..., 1:][..., order]], axis=-1)
    np.testing.assert_array_equal(drawn("high", mixed), drawn("high")[:, order])
    even = drawn("high", jnp.ones_like(ATTENTION), probability=1.0)
    np.testing.assert_array_equal(even.sum(1), drawn("high", probability=1.0).sum(1))


def noise(keys):
    return uniform(fold_keys(keys, 9), shape=(16,))


def random_ranks(keys, images, taught):
    """What AttMask hides of noise, said without it."""
    count = jnp.floor(16 * uniform(batch_key(keys)[None], 0.1, 0.5)[0])
    hidden = jnp.argsort(jnp.argsort(-noise(keys), axis=-1), axis=-1) < count
    return hidden & (uniform(fold_keys(keys, 1)) < 0.5)[:, None]


def deaf(keys, images, taught):
    """AttMask's own masking, shown noise in place of the teacher's attention."""
    heads = jnp.pad(noise(keys)[:, None], ((0, 0), (0, 0), (1, 0)))
    return sometimes_attended(VIT).draw(keys, images, taught | {"attention": (heads,)})


def test_with_random_ranks_it_is_ibot():
    """The same loss and gradients, and others than where the teacher's attention counts."""
    settings = dict(prototypes=8, head=HEAD, momentum=0.9)
    half = lambda patches: patches // 2  # noqa: E731
    ibot = methods.ibot(VIT, masking=Masking(random_ranks, half), **settings)
    random = methods.ibot(VIT, masking=Masking(deaf, half), collects=("attention",), **settings)
    views = toys.noisy(2)(jax.random.key(0), toys.batch(side=16))
    params, memory = jax.jit(ibot.init)(jax.random.key(1), views)

    @jax.jit
    def losses(params):
        rest = params, memory, views, jax.random.key(2), 0
        methods_ = (ibot, random, methods.attmask(VIT, **settings))
        return [jax.value_and_grad(lambda p, m=m: m.loss(p, *rest)[0])(params) for m in methods_]

    (value, slope), (same, slope_too), (other, _) = losses(params)
    np.testing.assert_allclose(value, same, rtol=1e-6)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), slope, slope_too)
    assert abs(other - value) > 1e-3


def test_the_teachers_last_block_says_what_is_hidden_whatever_the_student_is():
    vit = VIT.clone(depth=2)
    method = methods.attmask(vit, probability=1.0, prototypes=8, head=HEAD)
    views = toys.noisy(2)(jax.random.key(0), toys.batch(side=16))
    params, memory = jax.jit(method.init)(jax.random.key(1), views)
    teacher = jax.tree.map(lambda x: x + 0.1, params)

    @jax.jit
    def hidden(params, teacher):
        return method.outputs(params, teacher, memory, views, jax.random.key(2)).mask

    mask = np.asarray(hidden(params, teacher))
    np.testing.assert_array_equal(mask, hidden(jax.tree.map(lambda x: 2 * x, params), teacher))
    assert np.any(mask != hidden(params, params))
    looking = jax.jit(lambda images: collecting(vit, "attention").apply(teacher["encoder"], {}, images)[0])
    wrong = np.zeros(2, int)  # images in which a block attends more to a patch that is shown
    for own, images in zip(mask, views["global"], strict=True):
        for number, rows in enumerate(looking(images).inner["attention"]):
            attention = np.asarray(rows[..., 1:].mean(1))
            shown = np.where(own, -np.inf, attention).max(1)
            wrong[number] += np.sum(shown > np.where(own, attention, np.inf).min(1) + 1e-6)
    assert wrong[0] > 0 and wrong[1] == 0


def test_an_encoder_without_a_class_token_is_refused():
    with pytest.raises(ValueError, match="give a ViT with class_token=True"):
        methods.attmask(models.ViT(patch=4, dim=16, depth=1, heads=2, class_token=False))
