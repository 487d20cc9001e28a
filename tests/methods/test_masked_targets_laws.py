"""What is hidden, seen and predicted where the target is no pixel: BEiT, CAE, EVA and their words."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jssl import masked_prediction, methods, models, objectives, with_heads
from jssl.masks import Masking, random_mask
from jssl.methods.masked_targets import hidden_blocks, latent_distance
from jssl.methods.pairs import of_the_mean, over_hidden, reconstructed
from jssl.models.freezing import frozen
from jssl.models.masked.decoders import patch_head
from jssl.objectives import Outputs
from tests.law_table import TABLE
from tests.law_toys import batch
from tests.methods import toys
from tests.methods.toys import seen_as

PATCH, SIDE, BATCH, WORDS, HIDDEN = 4, 16, 8, 12, 8
VIT = models.ViT(patch=PATCH, dim=16, depth=1, heads=2)
IMAGES = toys.batch(side=SIDE)["image"]
NOISE = jax.random.normal(jax.random.key(9), IMAGES.shape)
KEY = jax.random.key(0)


def pixels(mask):
    """[B, N] -> the same of pixels."""
    grid = mask.reshape(len(mask), SIDE // PATCH, SIDE // PATCH)
    return jnp.kron(grid, jnp.ones((PATCH, PATCH)))[..., None]


def begun(method):
    params, memory = jax.jit(method.init)(jax.random.key(1), seen_as(IMAGES))
    run = jax.jit(lambda images, key: method.outputs(params, None, memory, seen_as(images), key))
    return params, memory, run


def cae(alignment=2.0, vit=VIT, count=HIDDEN):
    sizes = dict(depth=1, heads=2)
    parts = models.LatentRegressor(**sizes), models.LatentDecoder(WORDS, **sizes)
    words = models.patch_words(PATCH, WORDS)
    settings = dict(words=WORDS, alignment=alignment, count=count, min_block=2)
    return methods.cae(vit, words, regressor=parts[0], decoder=parts[1], **settings)


@cache
def begun_cae():
    method = cae()
    return method, *begun(method)


def beit(masking=None):
    words = models.patch_words(PATCH, WORDS)
    if masking is None:
        return methods.beit(VIT, words, words=WORDS, count=6, min_block=2)
    network = with_heads(VIT, patch=patch_head(WORDS))
    objective = over_hidden(objectives.masked_token_cross_entropy)
    return masked_prediction(network, objective, masking=masking, target=words)


def test_caes_encoder_sees_the_visible_patches_and_its_targets_the_hidden_ones_alone():
    *_, run = begun_cae()
    before = run(IMAGES, KEY)
    hidden = pixels(before.mask[0])
    assert (before.mask.sum(-1) == HIDDEN).all()
    under, seen = run(IMAGES + NOISE * hidden, KEY), run(IMAGES + NOISE * (1 - hidden), KEY)
    for name in ("tokens", "latent", "patch"):
        np.testing.assert_array_equal(before.student[name], under.student[name])
        assert np.abs(before.student[name] - seen.student[name]).max() > 1e-3
    np.testing.assert_array_equal(before.student["aligned"], seen.student["aligned"])
    assert np.abs(before.student["aligned"] - under.student["aligned"]).max() > 1e-3


def test_caes_alignment_is_that_with_a_copied_encoder_and_without_it_words_alone_train_the_regressor():
    words, (both, params, memory, run) = cae(0.0), begun_cae()
    copied = run(IMAGES, KEY).student["aligned"]

    def distance(params):
        outputs = both.outputs(params, None, memory, seen_as(IMAGES), KEY)
        student = {**outputs.student, "aligned": copied}
        return latent_distance(outputs._replace(student=student)).mean()

    @jax.jit
    def slopes(params):
        losses = [lambda p, m=m: m.loss(p, None, memory, seen_as(IMAGES), KEY, 0)[0] for m in (words, both)]
        return [jax.grad(loss)(params) for loss in (*losses, distance)]

    of_words, of_both, of_latents = slopes(params)
    expected = jax.tree.map(lambda a, b: a + 2 * b, of_words, of_latents)
    jax.tree.map(partial(np.testing.assert_allclose, atol=1e-5), of_both, expected)
    assert optax.tree.norm(of_words["regressor"]) > 1e-3 and optax.tree.norm(of_latents["encoder"]) > 1e-3
    assert optax.tree.norm(of_latents["decoder"]) == 0


def test_caes_regressor_follows_the_order_of_the_hidden_places():
    visible, own, others = (jax.random.normal(jax.random.key(i), (2, n, 8)) for i, n in enumerate((5, 4, 5)))
    regressor, order = models.LatentRegressor(depth=2, heads=2, layer_scale=None), jnp.array([2, 0, 3, 1])
    variables = regressor.init(KEY, visible, (own, others))
    straight = regressor.apply(variables, visible, (own, others))
    mixed = regressor.apply(variables, visible, (own[:, order], others))
    np.testing.assert_allclose(straight[:, order], mixed, atol=1e-5)
    assert np.abs(straight - mixed).max() > 1e-2


def test_half_of_the_patches_cost_caes_encoder_half():
    """By the matrix products of the encoder, without its regressor and decoder."""
    vit = models.ViT(patch=PATCH, dim=96, depth=4, heads=6)
    method = cae(vit=vit, count=32)
    images = jax.ShapeDtypeStruct((4, 32, 32, 3), jnp.float32)
    params, memory = jax.eval_shape(lambda x: method.init(jax.random.key(0), seen_as(x)), images)

    def visible(params, memory, images):
        return method.outputs(params, None, memory, seen_as(images), jax.random.key(0)).student["tokens"]

    def whole(params, memory, images):
        return method.features(params, None, memory, images).tokens

    part, full = (toys.flops(f, params, memory, images) for f in (visible, whole))
    assert full > 2 * 4 * 12 * 96**2 * 4 * 64  # the matrices alone
    assert part < 0.56 * full


def test_beits_targets_know_no_mask_and_its_loss_begins_at_the_vocabularys():
    method = beit()
    params, memory, run = begun(method)
    first, second = run(IMAGES, KEY), run(IMAGES, jax.random.key(5))
    np.testing.assert_array_equal(first.target["patch"], second.target["patch"])
    assert np.any(first.mask != second.mask)
    hidden = run(IMAGES + NOISE * pixels(first.mask[0]), KEY)
    np.testing.assert_array_equal(first.student["patch"], hidden.student["patch"])  # mask tokens stand there
    assert np.any(first.target["patch"] != hidden.target["patch"])
    loss, (after, figures) = jax.jit(method.loss)(params, None, memory, seen_as(IMAGES), KEY, 0)
    assert abs(loss - np.log(WORDS)) < 0.1 and 0 < figures["trivial"] <= np.log(WORDS)
    assert set(params) == {"encoder", "patch"}  # and no tokenizer
    jax.tree.map(np.testing.assert_array_equal, memory["statistics"]["target"], after["statistics"]["target"])


def test_a_head_on_hidden_patches_alone_gives_the_same_loss_and_gradient():
    blocks = hidden_blocks(VIT, count=6, min_block=2)
    alone, everywhere = beit(blocks), beit(blocks.draw)
    params, memory, run = begun(alone)

    @jax.jit
    def losses(params):
        rest = None, memory, seen_as(IMAGES), KEY, 0
        return [jax.value_and_grad(lambda p, m=m: m.loss(p, *rest)[0])(params) for m in (alone, everywhere)]

    (value, slope), (same, slope_too) = losses(params)
    np.testing.assert_allclose(value, same, rtol=1e-6)
    jax.tree.map(partial(np.testing.assert_allclose, atol=1e-6), slope, slope_too)
    assert run(IMAGES, KEY).student["patch"].shape == (1, BATCH, 6, WORDS)


def test_with_a_flat_table_of_relative_positions_the_network_follows_the_order_of_patches():
    order = jax.random.permutation(KEY, 16)
    patches = objectives.patchify(IMAGES, PATCH)
    mixed = objectives.unpatchify(patches[:, order], PATCH)
    for deviation, follows in ((0.0, True), (1.0, False)):
        bias = models.RelativePositionBias(table_init=jax.nn.initializers.normal(deviation))
        vit = VIT.clone(positions=None, attention_bias=bias)
        run = jax.jit(lambda x, vit=vit: vit.apply(vit.init(KEY, IMAGES), x).tokens)
        straight, other = run(IMAGES), run(mixed)
        assert np.allclose(straight[:, order], other, atol=1e-4) == follows


def test_words_are_the_nearest_mean_patches_in_any_precision():
    colors = jnp.repeat(jnp.eye(3), 4, axis=0)[:, None, None]  # 12 images of one color each
    images = jnp.broadcast_to(colors, (12, 8, 8, 3)) + 0.01 * NOISE[:1, :8, :8]
    net = models.patch_words(PATCH, 3)
    params, statistics = net.init(KEY, images)
    ids = np.asarray(net.apply(params, statistics, images)[0])
    assert params == {} and (ids == ids[:, :1]).all()
    assert len(set(ids[::4, 0])) == 3 and (ids[:, 0].reshape(3, 4) == ids[::4, :1]).all()
    np.testing.assert_array_equal(net.apply(params, statistics, images.astype(jnp.bfloat16))[0], ids)
    some = models.patch_words(PATCH, 3, most=8).init(KEY, images)[1]["words"]
    assert some.shape == (3, 48) and np.isfinite(some).all()


def test_a_trained_tokenizer_says_its_likeliest_words():
    encoder = models.TokenEncoder(PATCH, WORDS, 8)
    variables = jax.jit(encoder.init)(KEY, IMAGES)
    net = models.likeliest(frozen(encoder, variables))
    _, statistics = net.init(KEY, IMAGES)
    ids, _ = net.apply({}, statistics, IMAGES)
    np.testing.assert_array_equal(ids, encoder.apply(variables, IMAGES).tokens.argmax(-1))
    assert ids.dtype == jnp.int32 and len(np.unique(ids)) > 1


def test_the_tokenizer_puts_images_together_again():
    """A few words for few colors: its error falls below that of the mean image, by words that are in use."""
    colors = jax.random.uniform(jax.random.key(3), (4, 3))
    method = methods.tokenizer(models.TokenEncoder(PATCH, 8, 16), models.TokenDecoder(PATCH, 8, 16))

    def batch_of(step):
        which = jax.random.randint(jax.random.fold_in(KEY, step), (16, 2, 2), 0, 4)
        image = jnp.repeat(jnp.repeat(colors[which], PATCH, 1), PATCH, 2)
        return {"image": image, "index": jnp.arange(16)}

    state = toys.trained(method, optax.adam(3e-3), toys.noisy(1, noise=0.01), batch_of, steps=150)
    seen = seen_as(batch_of(999)["image"])
    figures = jax.jit(method.loss)(state.params, None, state.memory, seen, KEY, 0)[1][1]
    assert figures["reconstruction"] < 0.5 * colors.var(0).mean() and figures["usage"] > 0.3


def test_eva_predicts_features_of_the_whole_image_up_to_their_length():
    teacher = VIT.clone(dim=8)
    variables = jax.jit(teacher.init)(jax.random.key(2), IMAGES)
    method = methods.eva(VIT, frozen(teacher, variables), dim=8, count=6, min_block=2)
    params, memory, run = begun(method)
    first, second = run(IMAGES, KEY), run(IMAGES, jax.random.key(5))
    np.testing.assert_array_equal(first.target["patch"], second.target["patch"])
    tokens = jax.jit(teacher.apply)(variables, IMAGES).tokens
    np.testing.assert_allclose(first.target["patch"][0], tokens, atol=1e-5)
    assert np.any(first.mask != second.mask)
    judged = jax.jit(method.loss)
    loss, (_, figures) = judged(params, None, memory, seen_as(IMAGES), KEY, 0)
    assert 0 <= figures["trivial"] < loss < 2  # at first worse than the mean feature
    assert set(params) == {"encoder", "patch"}  # and no teacher
    long = jax.tree.map(lambda x: x, memory)
    norm = long["statistics"]["target"]["frozen"]["params"]["norm"]  # the teacher's last layer
    norm.update({name: 7 * x for name, x in norm.items()})
    again, (_, figures_too) = judged(params, None, long, seen_as(IMAGES), KEY, 0)
    np.testing.assert_allclose([again, figures_too["trivial"]], [loss, figures["trivial"]], rtol=1e-5)
    target, everywhere = first.target["patch"][0], jnp.ones((BATCH, 16), bool)
    assert np.all(objectives.masked_reconstruction(target, 7 * target, everywhere) > 1)  # MaskFeat's distance


def test_the_trivial_prediction_is_the_mean_target_of_what_is_hidden():
    target = jnp.array([[[3.0, 0.0], [0.0, 3.0], [9.0, 9.0]]])
    mask = jnp.array([[True, True, False]])
    cosine = partial(objectives.masked_reconstruction, distance="cosine")
    found = of_the_mean(cosine)(None, target, mask)["trivial"]
    np.testing.assert_allclose(found, 1 - 0.5**0.5, rtol=1e-6)
    found = of_the_mean(objectives.masked_reconstruction)(None, target, mask)["trivial"]
    np.testing.assert_allclose(found, 1.5**2, rtol=1e-6)


def test_the_mean_of_normalized_targets_is_that_of_what_they_become():
    target, mask = jnp.array([[[[1.0, 3.0], [7.0, 5.0]]]]), jnp.ones((1, 1, 2), bool)
    outputs = Outputs({"patch": 0 * target}, {"patch": target}, mask)
    for normalize, expected in ((False, 5.0), (True, 0.5)):
        _, _, figures = reconstructed(normalize_target=normalize).apply((), outputs, 0)
        np.testing.assert_allclose(figures["trivial"], expected, rtol=1e-4)


LOGGED = dict.fromkeys(("mae", "simmim", "i_jepa", "sdae"), "trivial")
LOGGED |= {"cmae": "patch/trivial", "mim_contrast": "mim/trivial"}


@pytest.mark.parametrize("name", LOGGED)
def test_beside_a_reconstructions_loss_stands_that_of_the_mean(name):
    method, views = TABLE[name].make(), TABLE[name].views(KEY, batch())

    def told():
        params, memory = method.init(KEY, views)
        teacher = method.teacher and method.teacher.init(params)
        return method.loss(params, teacher, memory, views, KEY, 0)[1][1]

    assert LOGGED[name] in jax.eval_shape(told)


@pytest.mark.parametrize(
    "hidden, expected", [([[1, 1], [1, 0]], (1 + 4 + 16) / 3), ([[0, 0], [1, 0]], 16), ([[0, 0], [0, 0]], 0)]
)
def test_every_hidden_patch_of_the_batch_weighs_the_same(hidden, expected):
    prediction, target = jnp.array([[[1.0], [2.0]], [[4.0], [5.0]]]), jnp.zeros((2, 2, 1))
    mask = jnp.array(hidden, bool)
    outputs = Outputs({"patch": prediction[None]}, {"patch": target[None]}, mask[None])
    loss = over_hidden(objectives.masked_reconstruction).apply((), outputs, 0)[0]
    np.testing.assert_allclose(loss, expected)


def test_more_patches_than_there_are_cannot_be_hidden():
    with pytest.raises(ValueError, match="between 1 and the 16 patches, got 75"):
        methods.beit(VIT, models.patch_words(PATCH, WORDS)).init(KEY, seen_as(IMAGES))


def test_blocks_as_large_as_the_grid_are_refused():
    with pytest.raises(ValueError, match="min_block is 16, and a block in 4 x 4 patches has at most 9"):
        methods.beit(VIT, models.patch_words(PATCH, WORDS), count=12).init(KEY, seen_as(IMAGES))


def test_beit_learns_more_than_how_frequent_words_are():
    """Of digits in patches of 2 x 2: the loss begins at the vocabulary's, and falls below the words' own."""
    vit = models.ViT(patch=2, dim=32, depth=1, heads=2)
    words = models.patch_words(2, WORDS)
    hidden = Masking(lambda keys, images: random_mask(keys, (4, 4), ratio=0.4), lambda patches: 7)
    network = with_heads(vit, patch=patch_head(WORDS))
    loss = over_hidden(objectives.masked_token_cross_entropy, figures=objectives.word_figures)
    method = masked_prediction(network, loss, masking=hidden, target=words)
    batches = [toys.handwriting(step) for step in range(200)]
    batches = [{name: batch[name] for name in ("image", "index")} for batch in batches]
    _, metrics = toys.record(method, optax.adam(3e-3), toys.noisy(1, noise=0.01), batches)
    last, trivial = (np.mean([float(m[name]) for m in metrics[-20:]]) for name in ("loss", "trivial"))
    assert abs(float(metrics[0]["loss"]) - np.log(WORDS)) < 0.1 and last < trivial - 0.1 < np.log(WORDS) - 0.2


def test_caes_decoder_knows_of_the_image_what_the_latents_say_and_no_more():
    """Words of an image are those that its decoder makes of its own predicted latents and of places alone."""
    _, params, _, run = begun_cae()
    found, other = run(IMAGES, KEY), run(IMAGES + NOISE, KEY)
    assert np.abs(found.student["latent"] - other.student["latent"]).max() > 1e-3
    decoder = jax.jit(models.LatentDecoder(WORDS, depth=1, heads=2).apply)
    positions = models.sincos_positions_rows_first((4, 4), 16)
    hidden = jnp.argsort(~found.mask[0], axis=-1, stable=True)[:, :HIDDEN]
    for one in (found, other):
        words = decoder({"params": params["decoder"]}, one.student["latent"][0], positions[hidden])
        np.testing.assert_allclose(words, one.student["patch"][0], atol=1e-5)
