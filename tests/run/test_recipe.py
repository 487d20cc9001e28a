"""Settings that all experiments share."""

from dataclasses import replace

import jax
import pytest

from jssl.run import Training
from jssl.run.settings import REMAT

SETTINGS = Training(
    encoder="vit_n4",
    batch=8,
    steps=10,
    warmup=0.1,
    learning_rate=1e-3,
    weight_decay=0.0,
    views="mae",
    data="digits",
    size=16,
)


def test_how_a_transformer_is_compiled_is_the_users_choice():
    plain = SETTINGS.network(drop_path=0.1)
    assert plain.scan is False and plain.remat is None and plain.drop_path == 0.1
    chosen = replace(SETTINGS, scan=True, remat="blocks").network()
    assert chosen.scan and chosen.remat is jax.checkpoint_policies.nothing_saveable
    assert replace(SETTINGS, remat="elementwise").network().remat is REMAT["elementwise"]


@pytest.mark.parametrize("flag", [dict(scan=True), dict(remat="blocks")])
def test_what_has_no_blocks_is_refused(flag):
    with pytest.raises(
        ValueError, match=f"--{next(iter(flag))} is for transformers; resnet18_cifar has no blocks"
    ):
        replace(SETTINGS, encoder="resnet18_cifar", **flag).network()


@pytest.mark.parametrize(("encoder", "hides"), [("resnet18_cifar", "mask"), ("swin_n", "visible")])
def test_an_encoder_that_cannot_hide_patches_is_refused(encoder, hides):
    with pytest.raises(
        ValueError, match=f"--encoder {encoder} cannot be used here: the method hides patches"
    ):
        replace(SETTINGS, encoder=encoder).network(hides=hides)
