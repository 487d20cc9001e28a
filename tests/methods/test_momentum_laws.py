"""What makes each of MoCo's kin itself: laws that it keeps and that its neighbour breaks."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jssl.experiments import MoCoV1, MoCoV3, ReSSL

from jssl import methods, models, objectives
from jssl.arrays.vectors import unit
from jssl.data.augment.tiles import shuffled_tiles
from jssl.data.views import instances, multicrop, pairs, whole
from jssl.models.tiles import with_tiles
from jssl.run import DataInfo
from tests.methods import toys

BATCH, QUEUE = 6, 12
BARE = dict(head=toys.identity())  # embeddings are the images themselves
MOCO = BARE | dict(queue=QUEUE, groups=1)
IMAGENET = DataInfo("imagenet", 1_281_167, (224, 224, 3), 224, 1000, {})


def views_of(*arrays):
    """Arrays [B, D] as views of images of D x 1 pixels."""
    return {"global": jnp.stack(arrays)[..., None, None], "index": jnp.arange(len(arrays[0]))}


def normal(seed, number=2):
    return jax.random.normal(jax.random.key(seed), (number, BATCH, 4))


def begun(method, views):
    params, memory = method.init(jax.random.key(0), views)
    return params, method.teacher and method.teacher.init(params), memory


def loss_of(method, views, memory=None, teacher=None):
    """(loss, memory after it) of a method without parameters."""
    params, own, first = begun(method, views)
    value, (after, _) = method.loss(params, teacher or own, memory or first, views, jax.random.key(1), 0)
    return float(value), after


def with_queue(memory, queue):
    return memory | {"objective": memory["objective"] | {"queue": queue}}


def test_moco_sees_its_queue_as_a_set_and_a_double_queue_as_almost_the_same():
    method, views = methods.moco_v1(toys.identity(), **MOCO), views_of(*normal(0))
    _, _, memory = begun(method, views)
    queue = memory["objective"]["queue"]
    value, _ = loss_of(method, views)
    shuffled, _ = loss_of(method, views, with_queue(memory, queue[::-1]))
    double, _ = loss_of(method, views, with_queue(memory, jnp.concatenate([queue, queue])))
    assert shuffled == pytest.approx(value, rel=1e-6)
    assert value < double < value + np.log(2)


def test_mocos_key_encoder_stands_or_follows_and_the_first_rows_of_the_queue_go():
    views, batches = toys.noisy(2), [toys.batch(i) for i in range(3)]
    for momentum in (1.0, 0.0):
        method = methods.moco_v1(
            toys.Mlp(), head=models.moco_head(4, hidden=None), queue=16, momentum=momentum
        )
        states, _ = toys.record(method, optax.sgd(0.5), views, batches[:2])
        first, last = states[0], states[-1]
        wanted = first.teacher if momentum else last.params
        for ours, theirs in zip(jax.tree.leaves(last.teacher), jax.tree.leaves(wanted), strict=True):
            np.testing.assert_array_equal(ours, theirs)
        rows = [np.asarray(state.memory["objective"]["queue"]) for state in (first, last)]
        assert not any((row == rows[0]).all(1).any() for row in rows[1])


def test_moco_v1_has_one_linear_layer_and_falls_by_steps():
    params, _ = methods.moco_v1(toys.Mlp(), queue=8).init(
        jax.random.key(0), toys.noisy(2)(jax.random.key(0), toys.batch())
    )
    assert list(params["cls"]) == ["layers_0"]
    rate, per_epoch = MoCoV1().rate(IMAGENET), IMAGENET.examples // 256
    found = [float(rate(round(epoch * per_epoch))) for epoch in (0, 119, 121, 161)]
    np.testing.assert_allclose(found, [0.03, 0.03, 0.003, 0.0003], rtol=1e-5)


@pytest.mark.parametrize("temperature", [0.2, 1.0])
def test_moco_v3_of_equal_vectors_is_4_t_log_b_and_simclr_is_not(temperature):
    views = views_of(*jnp.ones((2, BATCH, 4)))
    ours = methods.moco_v3(toys.identity(), **BARE, predictor=toys.identity(), temperature=temperature)
    assert loss_of(ours, views)[0] == pytest.approx(4 * temperature * np.log(BATCH), rel=1e-6)
    theirs = methods.simclr(toys.identity(), **BARE, temperature=temperature)
    assert loss_of(theirs, views)[0] != pytest.approx(4 * temperature * np.log(BATCH), rel=1e-2)


def test_moco_v3_finds_keys_among_those_of_the_other_view_alone_and_both_ways():
    a, b = normal(1)
    method = methods.moco_v3(toys.identity(), **BARE, predictor=toys.identity(), temperature=0.5)
    logits = np.asarray(unit(a) @ unit(b).T) / 0.5
    rows, columns = (np.log(np.exp(x).sum(1)) - np.diag(x) for x in (logits, logits.T))
    value, _ = loss_of(method, views_of(a, b))
    assert value == pytest.approx(np.mean(rows) + np.mean(columns), rel=1e-5)


def test_swapping_the_views_changes_moco_v2_and_not_moco_v3():
    head = models.Head([models.heads.dense(3)])
    made = {
        True: methods.moco_v3(toys.identity(), head=head, predictor=toys.identity()),
        False: methods.moco_v2(toys.identity(), head=head, queue=QUEUE, groups=1),
    }
    for symmetric, method in made.items():
        params, _, memory = begun(method, views_of(*normal(2)))
        teacher = method.teacher.init(jax.tree.map(lambda x: x + 0.3, params))
        values = [
            float(method.loss(params, teacher, memory, views_of(*pair), jax.random.key(1), 0)[0])
            for pair in (normal(2), normal(2)[::-1])
        ]
        assert (values[0] == pytest.approx(values[1], rel=1e-5)) == symmetric


@pytest.mark.parametrize("frozen", [True, False])
def test_moco_v3_leaves_the_patch_projection_as_it_was_drawn(frozen):
    dense = {"kernel": jnp.ones((4, 4)), "bias": jnp.ones(4)}
    params = {"encoder": {"stem": {"proj": dense}, "blocks": dense}, "cls": dense, "prediction": dense}
    optimizer = MoCoV3(steps=300, frozen_patches=frozen).build(IMAGENET).optimizer
    state, gradients = optimizer.init(params), jax.tree.map(jnp.ones_like, params)
    for _ in range(3):  # the rate begins at 0
        updates, state = optimizer.update(gradients, state, params)
    moved = jax.tree.map(lambda x: bool(jnp.all(x != 0)), updates)
    assert moved["encoder"]["stem"]["proj"] == {"kernel": not frozen, "bias": not frozen}
    assert all(jax.tree.leaves([moved["encoder"]["blocks"], moved["cls"], moved["prediction"]]))


def test_moco_v3s_first_weights():
    drawn = models.xavier_apart(jax.random.key(0), (64, 192), jnp.float32)
    assert float(jnp.abs(drawn).max()) == pytest.approx((6 / 128) ** 0.5, rel=1e-2)
    network = MoCoV3().build(IMAGENET).encoder
    assert network.positions is models.sincos_positions_rows_first
    assert float(jnp.std(network.token_init(jax.random.key(0), (9999,)))) == pytest.approx(1e-6, rel=0.1)


def test_ressl_of_equal_views_at_equal_temperatures_has_no_gradient_and_mocos_has_one():
    z, queue = unit(normal(3, 1)[0]), unit(normal(4, 3).reshape(-1, 4))
    equal = dict(student_temperature=0.1, teacher_temperature=0.1)

    def ours(student):
        return jnp.mean(objectives.relational_consistency(student, z, queue, **equal))

    value, slope = jax.value_and_grad(ours)(z)
    relation = jax.nn.softmax(z @ queue.T / 0.1)
    assert float(value) == pytest.approx(float(-(relation * jnp.log(relation)).sum(1).mean()), rel=1e-4)
    assert float(jnp.abs(slope).max()) < 1e-6
    theirs = jax.grad(lambda query: jnp.mean(objectives.info_nce(query, z, queue, temperature=0.1)))(z)
    assert float(jnp.abs(theirs).max()) > 1e-3


def test_ressl_compares_with_past_images_alone_by_a_sharper_teacher():
    method, (strong, weak) = methods.ressl(toys.identity(), **MOCO), normal(5)
    views = views_of(strong, weak)
    _, _, memory = begun(method, views)
    queue = np.asarray(memory["objective"]["queue"])
    target = np.asarray(jax.nn.softmax(unit(weak) @ queue.T / 0.04))
    predicted = np.asarray(jax.nn.log_softmax(unit(strong) @ queue.T / 0.1))
    value, after = loss_of(method, views)
    assert value == pytest.approx(-(target * predicted).sum(1).mean(), rel=1e-5)
    np.testing.assert_allclose(after["objective"]["queue"][:BATCH], unit(weak), rtol=1e-6)
    assert loss_of(method, views, with_queue(memory, queue[::-1]))[0] == pytest.approx(value, rel=1e-5)
    sharp, flat = (np.asarray(jax.nn.softmax(unit(weak) @ queue.T / t)) for t in (0.04, 0.1))
    assert np.all((-sharp * np.log(sharp)).sum(1) < (-flat * np.log(flat)).sum(1))
    for temperature in (0.1, 0.2):
        with pytest.raises(ValueError, match="must be below temperature=0.1"):
            methods.ressl(toys.identity(), **MOCO, teacher_temperature=temperature)


def test_infomin_without_tiles_is_moco_at_its_temperature_and_with_them_finds_the_key_twice():
    a, b = normal(6)
    tiles = normal(7, 1)[0]
    views = views_of(a, b) | {"tiles": tiles.reshape(BATCH, 2, 2, 1, 1)}
    bare = MOCO | dict(tile=toys.identity(), join=toys.identity())
    moco, after = loss_of(methods.moco_v2(toys.identity(), **MOCO, temperature=0.15), views)
    assert loss_of(methods.infomin(toys.identity(), **bare, tile_weight=0.0), views)[0] == moco
    value, memory = loss_of(methods.infomin(toys.identity(), **bare), views)
    np.testing.assert_array_equal(memory["objective"]["queue"], after["objective"]["queue"])  # of keys alone
    _, _, first = begun(methods.moco_v2(toys.identity(), **MOCO), views)
    cut = objectives.info_nce(tiles, b, first["objective"]["queue"], temperature=0.15)
    assert value == pytest.approx(0.5 * moco + 0.5 * float(jnp.mean(cut)), rel=1e-5)
    with pytest.raises(ValueError, match="needs 'tiles' of outputs.views"):
        loss_of(methods.infomin(toys.identity(), **bare), views_of(a, b))


def test_tiles_come_from_their_cells_in_an_order_of_their_own():
    """Of images whose pixels say where they are."""
    place = jnp.stack(jnp.meshgrid(jnp.arange(12.0), jnp.arange(15.0), indexing="ij"), axis=-1)
    images, keys = jnp.broadcast_to(place, (40, *place.shape)), jax.random.split(jax.random.key(0), 40)
    found = np.asarray(shuffled_tiles(keys, images, side=3))
    corners = found[:, :, 0, 0]
    np.testing.assert_array_equal(
        found - corners[:, :, None, None], np.broadcast_to(place[:3, :3], found.shape)
    )
    cells, room = corners // [4, 5], corners % [4, 5]
    numbers = (3 * cells[..., 0] + cells[..., 1]).astype(int)
    assert all(sorted(row) == list(range(9)) for row in numbers) and len({tuple(row) for row in numbers}) > 30
    assert room.max((0, 1)).tolist() == [1, 2] and room.min() == 0  # every place inside of a cell
    again = shuffled_tiles(keys[::-1], images, side=3)
    np.testing.assert_array_equal(again[::-1], found)
    with pytest.raises(ValueError, match="side must lie between 1 and the 4 pixels of a cell"):
        shuffled_tiles(keys, images, side=5)


CROP, FLIP, JITTER, RANDOM, GREY, BLUR, SOLAR, NORM, CENTER = STAGES = (
    "random_resized_crop horizontal_flip color_jitter randaugment grayscale papers_blur solarize normalize "
    "center_crop"
).split()
MOCO_V2 = [CROP, JITTER, GREY, BLUR, FLIP, NORM]
ORDERS = {  # of the last view, of ReSSL's both, and of OBoW's crops, whole images and patches
    pairs.infomin: [CROP, FLIP, JITTER, BLUR, RANDOM, GREY, NORM],
    pairs.simclr: [CROP, FLIP, JITTER, GREY, BLUR, NORM],
    pairs.moco_v2: MOCO_V2,
    pairs.ressl: [*MOCO_V2, CROP, FLIP, NORM],
    pairs.byol: [CROP, FLIP, JITTER, GREY, BLUR, SOLAR, NORM],
    pairs.moco_v3: [CROP, FLIP, JITTER, GREY, BLUR, SOLAR, NORM],
    pairs.smog: [CROP, FLIP, JITTER, GREY, BLUR, SOLAR, NORM],
    pairs.supcon: [CROP, FLIP, JITTER, GREY, NORM],
    instances.npid: [CROP, GREY, JITTER, FLIP, NORM],
    instances.npid_cifar: [CROP, JITTER, GREY, NORM],
    instances.moco_v1: [CROP, GREY, JITTER, FLIP, NORM],
    instances.invariant_spreading: [CROP, JITTER, GREY, FLIP, NORM],
    multicrop.swav: [CROP, FLIP, JITTER, GREY, BLUR, NORM],
    multicrop.dino: [CROP, FLIP, JITTER, GREY, BLUR, SOLAR, NORM],
    multicrop.msn: [CROP, FLIP, JITTER, GREY, BLUR, NORM],
    whole.obow: [*MOCO_V2, CENTER, FLIP, NORM, CROP, JITTER, GREY, FLIP, NORM],
}


@pytest.mark.parametrize("make", ORDERS, ids=lambda make: make.__name__)
def test_the_order_of_augmentations_is_the_authors(make, monkeypatch):
    order, wanted = [], ORDERS[make]

    def marked(name):
        return lambda *size, **how: lambda keys, images: order.append(name) or images

    for module in (pairs, instances, multicrop, whole):
        for name in STAGES:
            monkeypatch.setattr(module, name, marked(name), raising=False)
        monkeypatch.setattr(module, "with_probability", lambda probability, augmentation: augmentation)
    batch = {"image": jnp.zeros((1, 8, 8, 3)), "index": jnp.arange(1)}
    make(size=8)(jax.random.key(0), batch)
    assert order[-len(wanted) :] == wanted and set(order) == set(wanted)


def test_ressl_shows_the_student_the_strong_view():
    image = jnp.broadcast_to(jnp.array([200, 40, 90], jnp.uint8), (8, 12, 12, 3))
    views = jax.jit(pairs.ressl(size=8))(jax.random.key(0), {"image": image, "index": jnp.arange(8)})
    strong, weak = views["global"]
    assert float(weak.std(0).max()) < 1e-5 < 0.1 < float(strong.std(0).max())


def test_ressl_spares_biases_and_norms():
    params = {"cls": {"layers_0": {"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2)}}}
    optimizer = ReSSL(warmup=0).build(IMAGENET).optimizer
    still = jax.tree.map(jnp.zeros_like, params)
    updates, _ = optimizer.update(still, optimizer.init(params), params)
    moved = jax.tree.map(lambda x: bool(jnp.any(x != 0)), updates)["cls"]["layers_0"]
    assert moved == {"kernel": True, "bias": False}


def test_settings_of_moco_v3_on_resnets_are_another_published_run():
    from jssl.experiments.moco_v3 import resnet

    assert replace(resnet, steps=20).build(IMAGENET).peak_rate == pytest.approx(9.6)
    assert resnet.warmup == 10 and resnet.temperature == 1.0 and MoCoV3().peak_rate == pytest.approx(2.4e-3)


def test_tiles_in_another_order_are_another_task_as_hard_as_the_first():
    """InfoMin's branch is invariant to no order of the tiles; one order for all images is as good as another:
    what it made of the first, it makes of the second with its last layer's rows in that order."""
    tiles = jax.random.normal(jax.random.key(0), (BATCH, 4, 3, 3, 1))
    head = models.moco_head(3, hidden=6)
    network = with_tiles(toys.Mlp((8,)), cls=head, tile=head, join=models.moco_head(5, hidden=None))
    params, statistics = network.init(jax.random.key(1), tiles[:, 0], tiles)
    order = jnp.array([2, 0, 3, 1])

    def embedded(params, tiles):
        return network.apply(params, statistics, tiles[:, 0], tiles=tiles)[0]["tiles"]

    kernel = params["join"]["layers_0"]["kernel"]
    moved = kernel.reshape(4, 3, -1)[order].reshape(kernel.shape)
    learned = params | {"join": {"layers_0": params["join"]["layers_0"] | {"kernel": moved}}}
    before = embedded(params, tiles)
    np.testing.assert_allclose(embedded(learned, tiles[:, order]), before, atol=1e-5)
    assert np.all(np.abs(embedded(params, tiles[:, order]) - before).max(1) > 1e-2)
    for image in range(2):  # an order of its own for one image is no such task
        alone = embedded(learned, tiles.at[image].set(tiles[image, order]))
        assert np.abs(alone - before).max(1)[1 - image] > 1e-2


def test_steps_leave_a_vits_patch_projection_bit_for_bit():
    method = methods.moco_v3(
        models.ViT(patch=4, dim=16, depth=1, heads=2),
        head=models.moco_v3_head(8, hidden=16),
        predictor=models.moco_v3_head(8, hidden=16, layers=2),
    )
    optimizer = MoCoV3(steps=300).build(IMAGENET).optimizer
    states, _ = toys.record(method, optimizer, toys.noisy(2), [toys.batch(side=16)] * 4)
    first, last = (states[i].params for i in (0, -1))
    jax.tree.map(np.testing.assert_array_equal, first["encoder"].pop("stem"), last["encoder"].pop("stem"))
    moved = jax.tree.map(lambda a, b: bool(jnp.any(a != b)), first, last)
    kernels = [x for path, x in jax.tree_util.tree_leaves_with_path(moved) if path[-1].key == "kernel"]
    assert len(kernels) >= 9 and all(kernels)
