"""Contrast within a batch: what DCL, SupCon and NNCLR do that SimCLR does not."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jssl import methods, models
from jssl.arrays.vectors import unit
from jssl.objectives import (
    Outputs,
    info_nce,
    nearest_neighbour,
    neighbour_contrast,
    nt_xent,
    supervised_contrastive,
)
from tests.law_table import TABLE
from tests.law_toys import batch, noisy
from tests.methods import toys
from tests.methods.test_momentum_laws import BARE, BATCH, begun, loss_of, normal, views_of, with_queue

T = 0.5


def dcl(**how):
    return methods.dcl(toys.identity(), **BARE, temperature=T, **how)


def simclr():
    return methods.simclr(toys.identity(), **BARE, temperature=T)


def supcon():
    return methods.supcon(toys.identity(), **BARE, temperature=T, base_temperature=T)


def labelled(pair, labels):
    return views_of(*pair) | {"label": jnp.asarray(labels)}


def test_dcl_is_simclr_plus_the_logarithm_of_what_the_pair_leaves_over():
    pair = normal(0)
    losses = nt_xent(*pair, temperature=T)
    wanted = 2 * jnp.mean(losses + jnp.log1p(-jnp.exp(-losses)))  # exp(-loss): the probability of the pair
    assert loss_of(dcl(), views_of(*pair))[0] == pytest.approx(float(wanted), rel=1e-5)


def test_dcl_goes_below_zero_and_simclr_does_not():
    apart = jnp.array([[1.0, 0], [-1, 0]])
    assert loss_of(dcl(), views_of(apart, apart))[0] < 0 < loss_of(simclr(), views_of(apart, apart))[0]


def test_weights_of_dcl_are_1_where_all_pairs_agree_alike():
    equal = views_of(jnp.eye(BATCH), jnp.eye(BATCH))
    assert loss_of(dcl(sigma=0.5), equal)[0] == pytest.approx(loss_of(dcl(), equal)[0], rel=1e-6)
    mixed = views_of(*normal(1))
    assert loss_of(dcl(sigma=0.5), mixed)[0] != pytest.approx(loss_of(dcl(), mixed)[0], rel=1e-3)


def test_an_easy_pair_keeps_its_gradient_under_dcl_and_loses_it_under_simclr():
    """Two images whose views agree nearly and lie apart, at a temperature at which the pair is certain."""
    a = jnp.array([[1.0, 0.1], [-1.0, 0.1]])
    b = jnp.array([[1.0, -0.1], [-1.0, -0.1]])
    sizes = {}
    for make in (methods.dcl, methods.simclr):
        method = make(toys.identity(), **BARE, temperature=0.07)
        params, teacher, memory = begun(method, views_of(a, b))

        def loss(a, method=method, memory=memory, params=params, teacher=teacher):
            return method.loss(params, teacher, memory, views_of(a, b), jax.random.key(0), 0)[0]

        sizes[make] = float(jnp.abs(jax.grad(loss)(a)).max())
    assert sizes[methods.dcl] > 0.5 and sizes[methods.simclr] < 1e-6


def test_supcon_with_all_labels_different_or_none_is_nt_xent():
    pair = normal(2)
    wanted = pytest.approx(float(jnp.mean(nt_xent(*pair, temperature=T))), rel=1e-5)
    for labels in (range(BATCH), [-1] * BATCH, [3, -1, 0, -1, 7, 1]):
        assert loss_of(supcon(), labelled(pair, list(labels)))[0] == wanted
    shared = loss_of(supcon(), labelled(pair, [0, 0, 1, 1, 2, 2]))[0]
    assert shared != wanted
    assert loss_of(supcon(), labelled(pair, [7, 7, 0, 0, 4, 4]))[0] == pytest.approx(shared, rel=1e-6)


def test_supcon_of_equal_vectors_of_one_class_is_the_logarithm_of_their_number():
    same = labelled(jnp.ones((2, BATCH, 4)), [2] * BATCH)
    assert loss_of(supcon(), same)[0] == pytest.approx(np.log(2 * BATCH - 1), rel=1e-6)
    base = methods.supcon(toys.identity(), **BARE)  # the authors' factor
    assert loss_of(base, same)[0] == pytest.approx(0.1 / 0.07 * np.log(2 * BATCH - 1), rel=1e-6)
    with pytest.raises(ValueError, match="the objective needs 'label' of outputs.views"):
        loss_of(supcon(), views_of(*normal(0)))


def test_only_supcon_and_fine_tuning_read_labels():
    """The laws take steps with all other methods on views without any."""
    key, given = jax.random.key(0), batch()
    kinds = {row.views for row in TABLE.values()}
    told = {views for views in kinds if "label" in jax.eval_shape(views, key, given)}
    assert {name for name, row in TABLE.items() if row.views in told} == {"supcon", "supervised"}

    def loss(name):
        method, views = TABLE[name].make(), noisy(2)(key, given)
        params, memory = method.init(key, views)
        return method.loss(params, None, memory, views, key, 0)[0]

    for name in ("supcon", "supervised"):
        with pytest.raises(ValueError, match="label"):
            jax.eval_shape(lambda name=name: loss(name))


def test_a_neighbour_has_no_gradient_and_simclrs_partner_has_one():
    z, p = jnp.stack(normal(5)), jnp.stack(normal(6))
    objective = neighbour_contrast(size=BATCH, temperature=T)
    memory = objective.init(Outputs({"prediction": p, "projection": z}))

    def nnclr(z, p):
        return objective.apply(memory, Outputs({"prediction": p, "projection": z}), 0)[0]

    def simclr(z, p):
        return jnp.mean(nt_xent(z[0], p[1], temperature=T) + nt_xent(z[1], p[0], temperature=T))

    of_neighbours, of_predictions = jax.grad(nnclr, argnums=(0, 1))(z, p)
    assert not np.any(of_neighbours) and np.any(of_predictions)
    assert all(map(np.any, jax.grad(simclr, argnums=(0, 1))(z, p)))


def test_nnclr_whose_queue_is_the_batch_is_contrast_with_predictions():
    """A view's neighbour then is the first view's own row, bit for bit."""
    a = normal(3)[0]
    b = a + 0.01 * normal(4)[0]
    method = methods.nnclr(toys.identity(), **BARE, predictor=toys.identity(), queue=BATCH, temperature=T)
    views = views_of(a, b)
    _, _, memory = begun(method, views)
    value, _ = loss_of(method, views, with_queue(memory, unit(a)))
    wanted = (info_nce(a, b, temperature=T) + info_nce(a, a, temperature=T)) / 2
    assert value == pytest.approx(float(jnp.mean(wanted)), rel=1e-5)
    np.testing.assert_array_equal(nearest_neighbour(b, unit(a)), unit(a))
    elsewhere, _ = loss_of(method, views, with_queue(memory, unit(normal(9)[0])))
    assert elsewhere != pytest.approx(value, rel=1e-2)  # SimCLR has no queue to tell


def test_an_anchor_of_supcon_whose_only_positive_is_its_view_has_nt_xents_term():
    pair = normal(7)
    plain = nt_xent(*pair, temperature=T)
    ours = supervised_contrastive(*pair, jnp.array([4, 4, 0, 1, 2, 3]), temperature=T)
    alone = np.tile([False, False, True, True, True, True], 2)
    np.testing.assert_allclose(ours[alone], plain[alone], rtol=1e-5)
    assert np.all(np.abs(ours - plain)[~alone] > 1e-2)


def test_nnclrs_neighbours_come_to_have_the_querys_label():
    """Those of held-out digits among others, by projections, more often than a network's as it is drawn."""
    method = methods.nnclr(
        toys.Mlp((64,)),
        head=models.nnclr_head(16, hidden=64),
        predictor=models.nnclr_predictor(16, hidden=64),
        queue=256,
        temperature=0.2,
    )
    support, queries = (toys.handwriting(step, size=256) for step in (1000, 1001))

    def agreement(steps):
        views = toys.noisy(2, noise=0.6)
        state = toys.trained(method, optax.adam(1e-3), views, toys.handwriting, steps=steps)
        rows, asked = (
            toys.outputs_of(method, state, some["image"]).student["cls"][0] for some in (support, queries)
        )
        found = nearest_neighbour(asked, rows)
        which = np.argmin(np.abs(np.asarray(rows)[None] - np.asarray(found)[:, None]).max(-1), axis=1)
        return np.mean(support["label"][which] == queries["label"])

    before, after = agreement(0), agreement(200)
    assert before > 0.2 and after > before + 0.05, (before, after)
