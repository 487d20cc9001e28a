"""Every image a class of its own: what NPID's bank holds, and how the batch alone does without one."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jssl import methods, models, objectives
from jssl.arrays.vectors import unit
from jssl.data import batch_indices
from tests.methods import toys
from tests.methods.test_momentum_laws import BARE, BATCH, begun, loss_of, normal, views_of

EXAMPLES, DIM = 24, 8


def npid(**settings):
    settings = dict(examples=EXAMPLES, head=models.moco_head(DIM, hidden=None)) | settings
    return methods.npid(toys.Mlp(), **settings)


@pytest.mark.parametrize("negatives", [0, 5])
def test_a_step_of_npid_moves_the_rows_of_its_images_and_no_other(negatives):
    batches = [toys.batch(i) | {"index": jnp.arange(8) + 8 * i} for i in range(3)]
    method = npid(negatives=negatives, momentum=0.5)
    states, _ = toys.record(method, optax.sgd(0.1), toys.noisy(1), batches)
    for state, after, batch in zip(states[:-1], states[1:], batches, strict=True):
        old, new = (np.asarray(s.memory["objective"]["bank"]) for s in (state, after))
        own = np.isin(np.arange(EXAMPLES), batch["index"])
        np.testing.assert_array_equal(old[~own], new[~own])
        assert (np.abs(old[own] - new[own]).max(1) > 1e-3).all()
        np.testing.assert_allclose(np.linalg.norm(new, axis=1), 1, atol=1e-5)
        views = toys.noisy(1)(toys.keys_of(state)[0], batch)
        seen = method.outputs(state.params, None, state.memory, views, jax.random.key(0)).student["cls"][0]
        np.testing.assert_allclose(new[own], unit(0.5 * old[own] + 0.5 * unit(seen)), atol=1e-5)
    images = batches[0]["image"]
    without = method.features(states[-1].params, None, {**states[-1].memory, "objective": None}, images)
    assert np.isfinite(without.cls).all()  # the encoder alone: no bank


def test_both_train_by_their_own_losses_and_simclr_does_not():
    pair, how = normal(0), BARE | dict(temperature=0.5)
    spread = loss_of(methods.invariant_spreading(toys.identity(), **how), views_of(*pair))[0]
    expected = float(objectives.invariant_spreading(*pair, temperature=0.5).mean())
    assert spread == pytest.approx(expected, rel=1e-5)
    assert loss_of(methods.simclr(toys.identity(), **how), views_of(*pair))[0] != pytest.approx(
        spread, rel=0.1
    )
    exact = methods.npid(toys.identity(), examples=EXAMPLES, negatives=0, **how)
    bank = begun(exact, views_of(pair[0]))[2]["objective"]["bank"]
    told = objectives.instance_discrimination(pair[0], jnp.arange(BATCH), bank, temperature=0.5)
    assert loss_of(exact, views_of(pair[0]))[0] == pytest.approx(float(told.mean()), rel=1e-5)


def test_against_a_random_bank_the_loss_is_that_of_random_vectors():
    """log N + 1 / (2 D T^2): the logits are normal of deviation 1 / (sqrt(D) T)."""
    examples, dim, temperature = 6000, 32, 0.2
    z, bank = (jax.random.normal(jax.random.key(i), (n, dim)) for i, n in enumerate((512, examples)))
    settings = dict(temperature=temperature)
    losses = objectives.instance_discrimination(z, jnp.arange(512), bank, **settings)
    expected = np.log(examples) + 1 / (2 * dim * temperature**2)
    assert abs(losses.mean() - expected) < 0.2
    batch_alone = objectives.info_nce(z, bank[:512], **settings).mean()  # contrast of a batch, MoCo v3's
    assert abs(batch_alone - expected) > 1


def test_no_batch_names_an_image_twice_nor_does_an_epoch():
    """A bank's rows have no defined order where one is written twice."""
    for n in (24, 31):  # 31 leaves seven images of each epoch out
        epochs = [[batch_indices(3, 3 * e + i, n=n, batch=8) for i in range(3)] for e in range(3)]
        for epoch in epochs:
            assert len(set(np.concatenate(epoch).tolist())) == 24
        assert not np.array_equal(epochs[0], epochs[1])


def spread_against(x, y, temperature):
    """The loss with a second factor of its own, in the words of the paper."""
    n = len(x) // 2
    e = jnp.exp(x @ y.T / temperature) * (1 - jnp.eye(2 * n))
    p = e / e.sum(1, keepdims=True)
    partner = (jnp.arange(2 * n) + n) % (2 * n)
    positive = jax.nn.one_hot(partner, 2 * n, dtype=bool)
    others = jnp.sum(jnp.where(positive | jnp.eye(2 * n, dtype=bool), 0.0, jnp.log(1 - p)))
    return -(jnp.sum(jnp.log(p[jnp.arange(2 * n), partner])) + others) / (2 * n)


def test_spreading_moves_each_row_as_an_anchor_alone():
    x = unit(jax.random.normal(jax.random.key(0), (8, 5)))

    def rows_of(loss):
        return jax.value_and_grad(lambda x: jnp.mean(loss(*unit(x).reshape(2, 4, 5), temperature=0.5)))(x)

    def exact(x, frozen):
        return spread_against(unit(x), unit(jax.lax.stop_gradient(x) if frozen else x), 0.5)

    value, gradient = rows_of(objectives.invariant_spreading)
    expected, slope = jax.value_and_grad(exact)(x, True)
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    np.testing.assert_allclose(gradient, slope, atol=1e-5)
    assert np.abs(gradient - jax.grad(exact)(x, False)).max() > 1e-2  # not that of the plain function
    whole, towards = rows_of(objectives.nt_xent)  # the first term: SimCLR's in value, not in gradient
    pushes = spread_against(x, x, 0.5) - whole
    assert pushes > 0.1 and np.abs(gradient - towards).max() > 1e-2


def test_spreading_of_equal_rows_and_of_exchanged_views():
    n, a, b = 6, *jax.random.normal(jax.random.key(1), (2, 6, 5))
    loss = objectives.invariant_spreading(jnp.ones((n, 5)), jnp.ones((n, 5)))
    expected = np.log(2 * n - 1) - (2 * n - 2) * np.log(1 - 1 / (2 * n - 1))
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    assert abs(objectives.nt_xent(jnp.ones((n, 5)), jnp.ones((n, 5))).mean() - expected) > 0.5  # SimCLR's
    np.testing.assert_allclose(
        objectives.invariant_spreading(a, b).mean(), objectives.invariant_spreading(b, a).mean(), rtol=1e-5
    )
    assert (objectives.invariant_spreading(a, b) >= 0).all()


def test_the_first_term_of_spreading_is_simclrs_in_value_and_not_in_gradient():
    """The loss without what it has against the others, by the same softmax; only an anchor's factor moves."""
    x, temperature = jax.random.normal(jax.random.key(2), (8, 5)), 0.5
    pair = jax.nn.one_hot((jnp.arange(8) + 4) % 8, 8, dtype=bool)

    def probabilities(x):
        z = unit(x)
        logits = z @ jax.lax.stop_gradient(z).T / temperature
        return jax.nn.softmax(jnp.where(jnp.eye(8, dtype=bool), -jnp.inf, logits))

    def first(x):
        others = jnp.log1p(-jnp.where(pair | jnp.eye(8, dtype=bool), 0.0, probabilities(x)))
        return jnp.mean(objectives.invariant_spreading(x[:4], x[4:], temperature=temperature) + others.sum(1))

    def anchors(x):
        return -jnp.mean(jnp.log(jnp.sum(jnp.where(pair, probabilities(x), 0.0), axis=1)))

    def simclr(x):
        return jnp.mean(objectives.nt_xent(x[:4], x[4:], temperature=temperature))

    (value, slope), (expected, towards) = (jax.value_and_grad(loss)(x) for loss in (first, simclr))
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    np.testing.assert_allclose(slope, jax.grad(anchors)(x), atol=1e-5)
    assert np.abs(slope - towards).max() > 1e-2
