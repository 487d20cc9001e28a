"""What DINOv2 and its distillation add to iBOT: balance, places, KoLeo, frozen teachers."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jssl import methods, models, objectives
from jssl.arrays.keys import sample_keys
from jssl.masks import Masking
from jssl.methods.balanced import stratified_blocks
from jssl.models.freezing import frozen
from jssl.models.headed import with_heads
from jssl.objectives import Outputs
from jssl.sharding import make_mesh, over_batch
from tests.methods import toys
from tests.methods.balanced import BALANCED, HEAD, HIDDEN, MASKING, VIT, by_row, started


def test_with_centers_and_without_koleo_it_is_ibot_with_untied_heads():
    """The same loss, gradient and center of images from the same parameters. The center of patches differs by
    design: it follows hidden patches, where iBOT's follows all."""
    settings = dict(shared_head=False, teacher_temperature=0.05, patch_temperature=0.05)
    ibot = methods.ibot(VIT, prototypes=8, head=HEAD, masking=Masking(by_row, lambda patches: 4), **settings)
    ours = methods.dinov2(
        VIT, **BALANCED, masking=MASKING, centering="centering", koleo_weight=0.0, teacher_temperature=0.05
    )
    (theirs, given), (mine, own) = started(ibot), started(ours)
    renamed = {"encoder": given[0]["encoder"], "image": given[0]["cls"], "patch": given[0]["patch"]}
    (loss, (memory, metrics)), gradient = theirs(*given)
    (again, (own_memory, own_metrics)), own_gradient = mine(renamed, renamed, *own[2:])
    assert float(loss) == pytest.approx(float(again), rel=1e-6) and metrics["patch"] > 0.5
    assert float(metrics["cls"]) == float(own_metrics["image"])
    assert float(metrics["patch"]) == pytest.approx(float(own_metrics["patch"]) / 2, rel=1e-6)
    gradient = {"encoder": gradient["encoder"], "image": gradient["cls"], "patch": gradient["patch"]}
    close = partial(np.testing.assert_allclose, rtol=1e-4, atol=2e-6)  # of gradients near 1, in another order
    jax.tree.map(close, gradient, own_gradient)
    centers = memory["objective"]["cls"]["center"], own_memory["objective"]["image"]["center"]
    np.testing.assert_array_equal(*centers)


@pytest.fixture(scope="module")
def plain():
    """DINOv2 on views of the same images, nothing done to them: (method, loss and gradient, arguments, the
    outputs' function).
    """
    method = methods.dinov2(VIT, **BALANCED, masking=MASKING, teacher_temperature=0.2, koleo_weight=0.3)
    images = toys.batch(side=16)
    views = {"global": jnp.stack([images["image"]] * 2), "index": images["index"]}
    return (method, *started(method, views), jax.jit(method.outputs))


def test_heads_run_at_the_hidden_patches_alone(plain):
    """Both networks', by the shapes of what they make; and a target is that of its own patch."""
    _, _, arguments, seen = plain
    outputs = seen(*arguments[:-1])
    assert outputs.student["patch"].shape == outputs.target["patch"].shape == (1, 8, 4, 8)
    assert outputs.mask.shape == (1, 8, 4) and outputs.mask.all()
    params, _, memory, views, *_ = arguments
    net = with_heads(VIT, image=HEAD(8), patch=HEAD(8))
    for view, images in enumerate(views["global"]):
        everywhere, _ = jax.jit(net.apply)(params, memory["statistics"]["student"], images)
        for row in np.flatnonzero(HIDDEN[view].any(-1)):
            expected = everywhere["patch"][row][HIDDEN[view, row]]
            np.testing.assert_allclose(outputs.target["patch"][0, row], expected, atol=1e-5)


def test_untied_heads_share_nothing_and_ibots_are_one(plain):
    ours, _, (own, _, held, views, key, _), seen = plain
    tied = methods.ibot(VIT, prototypes=8, head=HEAD, masking=Masking(by_row, lambda patches: 4))
    begun = jax.jit(tied.init)(jax.random.key(1), views)
    for method, (params, memory), outputs, head, apart in (
        (ours, (own, held), seen, "image", True),
        (tied, begun, jax.jit(tied.outputs), "cls", False),
    ):
        patches = [
            outputs(student, method.teacher.init(params), memory, views, key).student["patch"]
            for student in (params, params | {head: jax.tree.map(lambda x: x + 0.1, params[head])})
        ]
        assert np.array_equal(*patches) == apart


def test_a_student_equal_to_its_teacher_on_equal_views_is_left_with_its_entropy(plain):
    """Of images: both views are one, so the loss is the cross entropy of a distribution with its own logits;
    where both have one temperature and targets are not balanced, that is their entropy."""
    logits = {"image": jnp.stack([jax.random.normal(jax.random.key(0), (8, 6))] * 2)}
    term = objectives.view_distillation("image", student_temperature=0.3, teacher_temperature=0.3)
    loss, _, metrics = term.apply(term.init(Outputs(logits, logits)), Outputs(logits, logits), 0)
    p = jax.nn.softmax(logits["image"][0] / 0.3)
    assert float(loss) == pytest.approx(float(-jnp.sum(p * jnp.log(p), -1).mean()), rel=1e-5)
    assert float(metrics["kl"]) == pytest.approx(0.0, abs=1e-5)
    _, run, arguments, _ = plain
    (_, (_, figures)), _ = run(*arguments)
    share = figures["image/teacher_entropy"] * np.log(8)
    assert float(figures["image"] - figures["image/kl"]) == pytest.approx(float(share), rel=1e-4)


def test_the_first_loss_is_what_the_papers_formula_says(plain):
    """Written again, in float64 and in another way: probabilities by exp, Sinkhorn by division."""
    _, run, arguments, seen = plain
    outputs = seen(*arguments[:-1])
    student, target = ({k: np.asarray(x, np.float64) for k, x in o.items()} for o in outputs[:2])
    assert float(run(*arguments)[0][0]) == pytest.approx(formula(student, target, 0.2, 0.3), rel=1e-4)


def formula(student, target, temperature, koleo, *, group=8, mask=None):
    def balanced(logits):
        q = np.exp(logits / temperature)
        for _ in range(3):
            q /= q.sum(0)
            q /= q.sum(1, keepdims=True)
        return q

    def cross_entropy(p, logits):
        z = np.exp(logits / 0.1)
        return -(p * np.log(z / z.sum(-1, keepdims=True))).sum(-1)

    views, batch = student["image"].shape[:2]
    codes = balanced(target["image"].reshape(2 * batch, -1)).reshape(2, batch, -1)
    pairs = [(g, v) for g in range(2) for v in range(views) if g != v]
    image = np.mean([cross_entropy(codes[g], student["image"][v]).mean() for g, v in pairs])
    mask = np.ones(student["patch"].shape[:3], bool) if mask is None else mask
    hidden = np.zeros_like(student["patch"])
    hidden[mask] = balanced(target["patch"][mask])
    losses = cross_entropy(hidden, student["patch"])  # 0 where nothing is hidden
    patch = (losses.sum(-1) / mask.sum(-1)).mean() / 2  # the other view of each image hides nothing
    apart = 0
    for z in student["cls"][:2].reshape(-1, group, student["cls"].shape[-1]):
        z = z / np.linalg.norm(z, axis=-1, keepdims=True)
        distance = np.linalg.norm(z[:, None] - z, axis=-1) + 9 * np.eye(group)
        apart -= np.log(distance.min(1)).mean() * group / batch
    return image + patch + koleo * apart


def test_koleo_looks_for_neighbours_in_its_group():
    z = jax.random.normal(jax.random.key(0), (3, 8, 5))
    outputs = Outputs({"cls": z}, {"cls": z[:2]})
    loss = float(objectives.spread_views(group=4).apply((), outputs, 0)[0])
    assert loss == pytest.approx(
        float(sum(objectives.koleo(z[v, g : g + 4]).mean() / 2 for v in (0, 1) for g in (0, 4))), rel=1e-5
    )
    assert loss != pytest.approx(float(objectives.spread_views().apply((), outputs, 0)[0]), rel=1e-3)
    with pytest.raises(ValueError, match="group=3 must divide the batch of 8"):
        objectives.spread_views(group=3).apply((), outputs, 0)


def test_masks_are_stratified_and_of_one_view_each():
    masking = stratified_blocks(VIT, ratio=(0.1, 0.5))
    crops = jnp.zeros((2, 64, 64, 64, 3))  # 16 x 16 patches
    mask = np.asarray(jax.jit(masking.draw)(sample_keys(jax.random.key(0), jnp.arange(64)), crops))
    counts = mask.sum(-1)
    assert (
        mask.shape == (2, 64, 256) and ((counts > 0).sum(0) == 1).all() and counts.max() <= masking.most(256)
    )
    assert 20 < (counts[0] > 0).sum() < 44
    wanted = np.sort((0.1 + 0.4 * (np.arange(64) + 0.5) / 64) * 256)
    assert np.abs(np.sort(counts.sum(0)) - wanted).mean() < 6  # blocks hide a little less
    order = np.random.default_rng(0).permutation(64)
    again = jax.jit(masking.draw)(sample_keys(jax.random.key(0), jnp.asarray(order)), crops)
    np.testing.assert_array_equal(mask[:, order], again)


def test_balance_over_eight_devices_is_that_of_the_whole_batch():
    logits = 5 * jax.random.normal(jax.random.key(0), (16, 6))
    place = over_batch(make_mesh("data=8"))
    codes = jax.jit(partial(objectives.sinkhorn_knopp, temperature=0.5), in_shardings=place)(logits)
    np.testing.assert_allclose(codes, objectives.sinkhorn_knopp(logits, temperature=0.5), rtol=1e-5)
    alone = jnp.concatenate([objectives.sinkhorn_knopp(x, temperature=0.5) for x in jnp.split(logits, 8)])
    assert np.abs(codes - alone).max() > 0.05


def test_a_frozen_teacher_stands_still_and_the_mean_is_the_students():
    large = with_heads(models.ViT(patch=4, dim=24, depth=1, heads=2), image=HEAD(8), patch=HEAD(8))
    variables = {"params": jax.jit(large.init)(jax.random.key(3), jnp.zeros((1, 16, 16, 3)))[0]}
    variables |= {"encoder": {}, "image": {}, "patch": {}}
    method = methods.dinov2_distill(VIT, frozen(large, variables), **BALANCED)
    batches = [toys.batch(i, side=16) for i in range(3)]
    states, figures = toys.record(method, optax.adam(0.01), toys.noisy(2, crops=1), batches)
    first, last = (jax.tree.leaves(states[i].memory["statistics"]["teacher"]) for i in (0, -1))
    assert len(first) > 10 and all(np.array_equal(a, b) for a, b in zip(first, last, strict=True))
    assert len(jax.tree.leaves(states[0].opt_state)) == 1 + 2 * len(jax.tree.leaves(states[0].params))
    expected = states[0].params
    for state in states[1:]:
        expected = jax.tree.map(lambda t, p: 0.9 * t + 0.1 * p, expected, state.params)
    jax.tree.map(partial(np.testing.assert_allclose, atol=1e-6), expected, states[-1].teacher)
    assert figures[0]["patch"] > 0 and "mask_token" not in states[0].params["encoder"]


def test_without_patches_and_koleo_and_with_centers_it_is_dino():
    """The same loss, gradient and center, where nothing is hidden; and not with targets that are balanced."""
    dino = methods.dino(VIT, prototypes=8, head=HEAD, teacher_temperature=0.05)
    none = Masking(lambda keys, crops: jnp.zeros(HIDDEN.shape, bool), lambda patches: 4)
    how = dict(koleo_weight=0.0, patch_weight=0.0, teacher_temperature=0.05)
    ours = methods.dinov2(VIT, **BALANCED, masking=none, **how, centering="centering")
    (theirs, given), (mine, own) = started(dino), started(ours)
    params = own[0] | {"image": given[0]["cls"]}
    params["encoder"] = own[0]["encoder"] | given[0]["encoder"]
    (loss, (memory, _)), gradient = theirs(*given)
    (again, (own_memory, _)), slope = mine(params, params, *own[2:])
    assert float(loss) == pytest.approx(float(again), rel=1e-6)
    close = partial(np.testing.assert_allclose, rtol=1e-4, atol=2e-6)
    for part, name in (("encoder", "encoder"), ("cls", "image")):
        jax.tree.map(close, gradient[part], {key: slope[name][key] for key in gradient[part]})
    centers = memory["objective"]["center"], own_memory["objective"]["image"]["center"]
    np.testing.assert_array_equal(*centers)
    outputs = jax.jit(ours.outputs)(params, params, *own[2:-1])
    balanced = objectives.dinov2_terms(**how)
    other, *_ = balanced.apply(balanced.init(outputs), outputs, 0)
    assert abs(float(other - loss)) > 1e-3


def test_koleo_pushes_a_pair_apart_by_the_inverse_of_its_distance():
    def slope(angle):
        """Of the loss of two unit rows so far from each other, by the angle of the first."""
        at = lambda x: jnp.stack([jnp.array([jnp.cos(x), jnp.sin(x)]), jnp.array([1.0, 0.0])])  # noqa: E731
        return float(jax.grad(lambda x: objectives.koleo(at(x)).mean())(angle))

    for angle in (0.02, 0.1, 0.4):
        assert slope(angle) == pytest.approx(-1 / angle, rel=0.02) and slope(-angle) > 0


def test_sinkhorns_columns_have_equal_mass_and_centered_targets_do_not():
    logits = 3 * jax.random.normal(jax.random.key(0), (64, 6)) + jnp.arange(6.0)
    balanced = objectives.sinkhorn_knopp(logits, temperature=1.0, iterations=20).sum(0)
    centered = jax.nn.softmax(logits - logits.mean(0)).sum(0)
    np.testing.assert_allclose(balanced, 64 / 6, rtol=1e-2)
    assert np.ptp(centered) > 1


def test_the_gradient_under_a_frozen_teacher_is_that_of_the_cross_entropy_with_what_it_said():
    net, large = (with_heads(VIT.clone(dim=dim), image=HEAD(8), patch=HEAD(8)) for dim in (16, 24))
    variables = {"params": jax.jit(large.init)(jax.random.key(3), jnp.zeros((1, 16, 16, 3)))[0]}
    taught = frozen(large, variables | {"encoder": {}, "image": {}, "patch": {}})
    how = dict(centering="centering", koleo_weight=0.0, patch_weight=0.0, teacher_temperature=0.5)
    run, (params, mean, memory, views, *rest) = started(
        methods.dinov2_distill(VIT, taught, **BALANCED, **how)
    )
    (loss, _), gradient = run(params, mean, memory, views, *rest)

    def image(net, params, view):
        return net.apply(params, {"encoder": {}, "image": {}, "patch": {}}, view)[0]["image"]

    logits = jax.jit(lambda view: image(large, variables["params"], view))
    said = [jax.nn.softmax(logits(view) / 0.5) for view in views["global"]]

    @jax.jit
    @jax.value_and_grad
    def plain(params):
        logits = [image(net, params, view) / 0.1 for view in views["global"][::-1]]
        pairs = zip(said, logits, strict=True)
        return -jnp.mean(jnp.stack([jnp.sum(p * jax.nn.log_softmax(z), -1) for p, z in pairs]))

    value, slope = plain(params)
    assert float(loss) == pytest.approx(float(value), rel=1e-5)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-4, atol=2e-6), gradient, slope)
