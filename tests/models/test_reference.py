"""Our networks with published state dicts give the numbers of the authors' code.

reference/ holds one tiny, randomly initialised model of each family with its published names and what it
computes: dino_vit (facebookresearch/dino), mae (facebookresearch/mae), resnet_torchvision (torchvision),
simmim_swin (microsoft/SimMIM). Images are NCHW, already normalised.
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file

from jssl.models import (
    Bottleneck,
    LearnedPositions,
    ResNet,
    Swin,
    ViT,
    mae_decoder,
    pixel_head,
    sincos_positions,
)
from jssl.objectives import unpatchify
from tests.models import torch_names as names
from tests.weights.files import same

REFERENCE = Path(__file__).parent / "reference"


@pytest.fixture(autouse=True)
def full_precision():
    with jax.default_matmul_precision("highest"):
        yield


def case(family):
    numbers = dict(np.load(REFERENCE / f"{family}.npz"))
    images = jnp.asarray(numbers["images"].transpose(0, 2, 3, 1))
    return load_file(REFERENCE / f"{family}.safetensors"), numbers, images


def run(model, variables, images, **arguments):
    """The outputs and what is sown on the way."""
    apply = jax.jit(lambda *args, **named: model.apply(*args, **named, mutable=["intermediates"]))
    outputs, sown = apply(variables, images, **arguments)
    return outputs, sown["intermediates"]


def joined(features):
    return jnp.concatenate([features.cls[:, None], features.tokens], axis=1)


def test_dino_vit():
    state, want, images = case("dino_vit")
    model, variables = ViT(8, 32, 2, 4), {"params": names.vit(state)}
    features, sown = run(model, variables, images)
    blocks = sown["blocks"]
    same(features.cls, want["class_token"])
    same(features.tokens, want["patch_tokens"])
    same(blocks["block_1"]["attn"]["attention"][0], want["last_class_attention"])
    norm = model.norm(parent=None)
    same(norm.apply({"params": variables["params"]["norm"]}, blocks["block_0"]["blocks"][0]), want["block_0"])


def test_another_epsilon_would_show():
    state, want, images = case("dino_vit")
    wrong = ViT(8, 32, 2, 4, norm=lambda **kw: ViT.norm(epsilon=1e-5, **kw))
    features, _ = run(wrong, {"params": names.vit(state)}, images)
    assert np.abs(features.cls - want["class_token"]).max() > 1e-3 * np.abs(want["class_token"]).max()


def test_mae():
    state, want, images = case("mae")
    encoder, variables = ViT(8, 24, 2, 4), {"params": names.vit(state)}
    order = jnp.argsort(jnp.asarray(want["noise"]), axis=1)
    visible = order[:, :4]
    latent, _ = run(encoder, variables, images, visible=visible)
    same(joined(latent), want["latent"])
    same(joined(run(encoder, variables, images, visible=order)[0]), want["latent_no_masking_sorted"])
    decoder = mae_decoder(8, dim=16, depth=1, heads=2, positions=LearnedPositions())
    decode = jax.jit(decoder.apply, static_argnums=3)
    prediction = decode({"params": names.mae_decoder(state)}, latent, visible, (4, 4))
    same(prediction, want["prediction"])
    same(sincos_positions((4, 4), 24, prefix=1), want["sincos_pos_embed"])


def test_resnet_torchvision():
    state, want, images = case("resnet_torchvision")
    model = ResNet((2, 1, 1, 1), Bottleneck, (6, 6, 8, 10), stem_width=8)
    features, sown = run(model, names.resnet(state), images)
    for stage in ("stem", "layer1", "layer2", "layer3", "layer4"):
        same(sown[stage][0].transpose(0, 3, 1, 2), want[stage])
    same(features.cls, want["pooled"])


def test_simmim_swin():
    state, want, images = case("simmim_swin")
    model = Swin(2, 12, (2, 2), (2, 3), window=4, mlp_ratio=3.0)
    variables = {"params": names.swin(names.under(state, "encoder."))}
    mask = jnp.asarray(want["mask"], bool).reshape(2, -1)
    features, _ = run(model, variables, images, mask=mask)
    same(features.tokens.reshape(2, 8, 8, 24).transpose(0, 3, 1, 2), want["features"])
    head = {"params": names.shuffled_pixels(names.under(state, "decoder."), 4)}
    pixels = unpatchify(pixel_head(4).apply(head, features.tokens), 4)
    same(pixels.transpose(0, 3, 1, 2), want["reconstruction"])
    same(run(model, variables, images)[0].cls, want["pooled"])
