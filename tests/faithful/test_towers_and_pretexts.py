"""CLIP, SLIP, SigLIP, rotations, context prediction and spot artifacts, as their authors train them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jssl.experiments import CLIP, SLIP, Autoencoder, ContextPrediction, Rotation, SigLIP, SpotArtifacts

from jssl import methods, models
from jssl.data import views
from jssl.run.settings.systems import module_of, named
from tests.faithful.quoted import IMAGENET, KEY, SLOPE, built, moved, rate

# images and captions


def test_clips_image_tower():
    network = built(CLIP()).encoder
    small = network.clone(dim=64, depth=1, heads=4)
    variables = jax.jit(small.init)(KEY, jnp.zeros((1, 64, 64, 3)))["params"]
    assert "bias" not in variables["stem"]["proj"] and "norm_input" in variables
    assert small.norm(name=None).epsilon == 1e-5
    assert small.mlp(hidden=4).activation is models.quick_gelu
    table = network.positions.table_init(KEY, (7, 7, 768), jnp.float32)
    assert float(table.std()) == pytest.approx(768**-0.5, rel=0.02)
    assert network.kernel_init is models.clip_image_init


@pytest.mark.parametrize("settings", [CLIP(), SLIP()])
def test_clips_text_tower(settings):
    text = settings.text_network(IMAGENET)
    assert (text.vocabulary, text.length, text.dim, text.depth) == (49_408, 77, 512, 12)
    assert text.end is models.largest_id and text.mlp(hidden=4).activation is models.quick_gelu
    out = text.kernel_init(KEY, (512, 512), jnp.float32)
    assert float(out.std()) == pytest.approx((512 * 24) ** -0.5, rel=0.02)
    with pytest.raises(
        ValueError, match="--caption-length 20 is too short for imagenet's captions of 77 tokens"
    ):
        type(settings)(caption_length=20).text_network(IMAGENET)


def text_of(name, monkeypatch):
    """The network of captions that an experiment builds, with few words and one block."""
    module, texts = module_of(name), []
    method = getattr(module, name)
    monkeypatch.setattr(module, name, lambda *a, **how: texts.append(a[1]) or method(*a, **how))
    built(named(name)(caption_length=77))
    return texts[0].clone(vocabulary=300, depth=1)


@pytest.mark.parametrize(
    "name, words, places, epsilon",
    [
        ("clip", 0.02, 0.01, 1e-5),
        ("slip", 0.02, 0.01, 1e-5),
        ("flip", 0.02, 0.02, 1e-6),
        ("siglip", 768**-0.5, 768**-0.5, 1e-6),
    ],
)
def test_words_and_places_of_captions_begin_as_published(name, words, places, epsilon, monkeypatch):
    text = text_of(name, monkeypatch)

    @jax.jit
    def drawn():  # these alone
        params = text.init(KEY, jnp.zeros((1, 2), jnp.int32))["params"]
        return params["embed"]["embedding"], params["positions"]

    for table, deviation in zip(drawn(), (words, places), strict=True):
        assert float(table.std()) == pytest.approx(deviation, rel=0.02)
    assert text.norm(name=None).epsilon == epsilon


@pytest.mark.parametrize(
    "name, causal, place", [("clip", True, 2), ("slip", True, 2), ("flip", False, 0), ("siglip", False, 4)]
)
def test_which_words_a_caption_is_read_from(name, causal, place, monkeypatch):
    """CLIP's and SLIP's at its end, which sees what is before; FLIP's first and SigLIP's last see all."""
    text, ids = text_of(name, monkeypatch), jnp.array([[5, 9, 299, 3, 7]])
    variables = jax.jit(text.init)(KEY, ids)
    apply = jax.jit(text.apply)
    features, other = (apply(variables, words) for words in (ids, ids.at[0, -1].set(8)))
    np.testing.assert_array_equal(features.cls, features.tokens[:, place])
    moved = np.abs(features.tokens - other.tokens).max(-1)[0] > 1e-5
    assert moved.tolist() == [not causal] * 4 + [True]


def test_siglips_projection_of_captions_begins_as_flaxs():
    encoder, text = models.ViT(4, 16, 1, 2), models.text_encoder("text_n", vocabulary=9, length=4)
    method = methods.siglip(encoder, text, head=models.clip_head(300), dim=300)
    batch = {"global": jnp.zeros((1, 2, 8, 8, 3)), "caption": jnp.ones((2, 4), jnp.int32)}

    @jax.jit
    def drawn():  # this one alone
        leaves = jax.tree_util.tree_leaves_with_path(method.init(KEY, batch)[0])
        named_so = {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in leaves}
        (kernel,) = (leaf for path, leaf in named_so.items() if path.endswith("caption/layers_0/kernel"))
        return kernel

    kernel = drawn()
    assert float(kernel.std()) == pytest.approx(96**-0.5, rel=0.03)


def test_clips_images_have_clips_statistics():
    white = jnp.full((1, 224, 224, 3), 255, jnp.uint8)
    expected = (1 - 0.40821073) / 0.27577711
    assert float(CLIP().view(IMAGENET)(white)[0, 0, 0, 2]) == pytest.approx(expected, rel=1e-5)


def test_siglips_images_lie_between_1_and_minus_1():
    white = {"image": jnp.full((1, 80, 80, 3), 255, jnp.uint8), "index": jnp.arange(1)}
    seen = jax.jit(SigLIP().make_views(IMAGENET))(KEY, white)["global"]
    black = SigLIP().view(IMAGENET)(0 * white["image"])
    np.testing.assert_allclose(seen, 1, atol=1e-6)
    np.testing.assert_allclose(black, -1, atol=1e-6)


def test_slip_shows_clip_a_plain_crop_and_simclr_two_other_views():
    s = SLIP()
    assert [rate(s, epoch) for epoch in (0, 1, 25)] == [
        pytest.approx(value, rel=1e-3) for value in (1e-6, 3e-3, 1e-5)
    ]
    seen = jax.jit(views.slip(size=16))(KEY, SLOPE)["global"]
    assert len(seen) == 3
    rising = jnp.mean(jnp.diff(seen[0, ..., 0], axis=2), axis=(1, 2)) > 0
    assert bool(jnp.all(rising))
    encoder, text = models.ViT(4, 16, 1, 2), models.text_encoder("text_n", vocabulary=9, length=4)
    method = methods.slip(encoder, text, dim=4, head=models.slip_head(4, hidden=8))
    batch = {
        "global": jax.random.normal(KEY, (3, 4, 8, 8, 3)),
        "caption": jnp.ones((4, 4), jnp.int32).at[:, 0].set(jnp.arange(4)),
    }
    params, memory = jax.jit(method.init)(KEY, batch)

    @jax.jit
    def judged(batch):
        loss, (_, metrics) = method.loss(params, None, memory, batch, KEY, 0)
        return metrics | {"loss": loss}

    terms = judged(batch)
    changed = judged(batch | {"global": batch["global"].at[0].add(1.0)})
    assert terms["simclr"] == changed["simclr"] and terms["clip"] != changed["clip"]
    changed = judged(batch | {"global": batch["global"].at[2].add(1.0)})
    assert terms["clip"] == changed["clip"] and terms["simclr"] != changed["simclr"]
    assert float(terms["loss"]) == pytest.approx(float(terms["clip"] + terms["simclr"] / 2), rel=1e-5)
    last = list(params["simclr"]["cls"].values())[-1]
    assert "bias" in last and "kernel" in last  # SLIP's head ends with a linear layer


def test_context_predictions_pair_decays_more():
    settings = ContextPrediction(encoder="resnet10x0.125_cifar", warmup=0)
    dense = {"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2)}
    params = {name: {"dense": dense} for name in ("encoder", "tile", "join")}
    moves = moved(built(settings).optimizer, params, jax.tree.map(jnp.zeros_like, params))
    for name, decay in dict(encoder=1e-4, tile=1e-4, join=5e-4).items():
        np.testing.assert_allclose(
            moves[name]["dense"]["kernel"], -decay * settings.peak_rate * np.ones((2, 2)), rtol=1e-5
        )
        assert not np.any(moves[name]["dense"]["bias"])


JIGSAW = dict(side=64, cells=3, number=1, apart=2), dict(grey=0.5, projected=0.5)
TILES = {  # of squares of 255 pixels, and what becomes of their colors
    "jigsaw": (JIGSAW[0] | dict(permutations=100), JIGSAW[1]),
    "jigsaw_pp": (JIGSAW[0] | dict(permutations=701, intruders=2), JIGSAW[1]),
    "context_prediction": (dict(side=64, jitter=None, dropped=0.0), dict(grey=0.66)),
}


@pytest.mark.parametrize("name", TILES)
def test_tiles_are_cut_and_colored_as_published(name, monkeypatch):
    module, kind, cut, colored = module_of(name), named(name), {}, {}
    monkeypatch.setattr(module, name, lambda encoder, **how: cut.update(how) or methods.rotation(encoder))
    monkeypatch.setattr(kind, "make_views", lambda self, data, **how: colored.update(how))
    built(kind())
    assert TILES[name][0].items() <= cut.items() and TILES[name][1].items() <= colored.items()


@pytest.mark.parametrize("settings", [Autoencoder(), SpotArtifacts()])
def test_spot_artifacts_rate_is_a_line_of_two_gpus_and_adam_adds_much(settings):
    assert settings.batch == 2 * 128
    expected = [3e-4, (3e-4 + 3e-6) / 2, 3e-6, 3e-6]
    assert [rate(settings, epoch) for epoch in (0, 225, 450, 500)] == pytest.approx(expected, rel=1e-3)
    params = {"encoder": {"dense": {"bias": jnp.zeros(2)}}}
    slopes = jax.tree.map(lambda x: x + 1e-5, params)  # as much as is added to their size
    moves = moved(built(settings).optimizer, params, slopes)
    np.testing.assert_allclose(moves["encoder"]["dense"]["bias"], -3e-4 / 2, rtol=1e-3)


def test_rotations_quoted_run():
    s = Rotation()
    assert [rate(s, epoch) for epoch in (0, 14, 16, 31, 46)] == [
        pytest.approx(value) for value in (0.01, 0.01, 1e-3, 1e-4, 1e-5)
    ]
    cifar = Rotation(batch=128, epochs=200, learning_rate=0.1, drops=(60, 120, 160), final_rate=0.008)
    assert [rate(cifar, epoch) for epoch in (59, 61, 121, 161)] == [
        pytest.approx(value, rel=1e-4) for value in (0.1, 0.02, 0.004, 0.0008)
    ]
    params = {"dense": {"kernel": jnp.ones((2, 2))}}
    update = moved(built(Rotation(weight_decay=0.0)).optimizer, params, jax.tree.map(jnp.ones_like, params))
    assert float(-update["dense"]["kernel"][0, 0]) == pytest.approx(0.01 * 1.9)  # Nesterov's first step
