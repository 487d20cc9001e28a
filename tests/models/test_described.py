"""Networks in words: every published encoder is written and made again, and nothing else is."""

import json

import flax.linen as nn
import jax
import numpy as np
import pytest

from jssl import weights
from jssl.models import ViT, encoder
from jssl.models.described import describe, plain, restored
from tests.weights.files import CASES, CONFIGS, case


@pytest.mark.parametrize(
    "name", sorted({path.name for path in CASES.iterdir() if path.is_dir()} | set(CONFIGS))
)
def test_every_family_s_encoder_is_described(name, tmp_path):
    folder, _ = case(name, tmp_path)
    module = plain(weights.load(folder).encoder)
    words = json.loads(json.dumps(describe(module)))
    assert type(restored(words)) is type(module) and describe(restored(words)) == words


@pytest.mark.parametrize("name", ["vit_n4", "vit_g14", "resnet10x0.25_cifar", "swin_n"])
def test_the_network_made_again_has_the_same_parameters(name):
    module = encoder(name)
    images = np.zeros((1, 28, 28, 3), np.float32) if "14" in name else np.zeros((1, 32, 32, 3), np.float32)
    shapes = [
        jax.eval_shape(one.init, jax.random.key(0), images) for one in (module, restored(describe(module)))
    ]
    assert jax.tree.map(lambda x: x.shape, shapes[0]) == jax.tree.map(lambda x: x.shape, shapes[1])


def test_training_s_own_fields_are_left_out():
    assert describe(plain(ViT(4, 8, 1, 2, scan=True, drop_path=0.5))) == describe(ViT(4, 8, 1, 2))


def test_what_has_no_name_cannot_be_described():
    with pytest.raises(ValueError, match="has no name"):
        describe(nn.Dense(3, dot_general=lambda *_: None))


@pytest.mark.parametrize(
    "text",
    [
        None,
        {},
        {"name": "os:system"},
        {"module": "os:system", "fields": {}},
        {"module": "subprocess:Popen", "fields": {"args": "true"}},
        {"module": "jssl.models.encoders.vit:check_images", "fields": {}},
        {"module": "jssl.models.encoders.vit:ViT", "fields": {"patches": 3}},
        {"module": "jssl.models.nowhere:ViT", "fields": {}},
        {"module": "nowhere:ViT", "fields": {}},
        {"partial": {"name": "os:system"}, "args": ["true"], "keywords": {}},
        {"module": 3, "fields": []},
    ],
)
def test_what_is_no_network_costs_one_line(text):
    with pytest.raises(ValueError) as error:
        network = restored(text)
        raise ValueError("no network") if not isinstance(network, nn.Module) else AssertionError(network)
    assert "\n" not in str(error.value)
