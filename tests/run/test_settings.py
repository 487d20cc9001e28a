"""Settings that all systems share."""

from dataclasses import dataclass, replace
from typing import Annotated

import jax
import pytest

from jssl.data.views import NAMED
from jssl.models import attend
from jssl.run import Count, Data, DataInfo, Share, Training
from jssl.run.settings.base import REMAT
from jssl.run.settings.numbers import Range, check_numbers

SETTINGS = Training(
    encoder="vit_n4",
    batch=8,
    epochs=10,
    warmup=1,
    learning_rate=1e-3,
    rate_per=None,
    final_rate=0.0,
    weight_decay=0.0,
    views="mae",
    data="digits",
    size=16,
)
INFO = DataInfo("digits", 83, (20, 16, 1), 16, 10, {"caption": ((5,), "int32")})


def test_epochs_become_steps_and_steps_squeeze_what_is_given_in_epochs():
    assert SETTINGS.length(INFO) == 100 and SETTINGS.span(1, INFO) == 10  # ten whole batches are an epoch
    assert replace(SETTINGS, epochs=0.5).length(INFO) == 5
    short = replace(SETTINGS, steps=50)
    assert short.length(INFO) == 50 and short.span(1, INFO) == 5 and short.span(0.1, INFO) == 0
    assert replace(SETTINGS, epochs=0.01).length(INFO) == 1
    with pytest.raises(ValueError, match="--epochs must be more than 0"):
        replace(SETTINGS, epochs=0).length(INFO)


def test_rates_are_those_of_the_batch_where_the_paper_scales_them():
    scaled = replace(SETTINGS, batch=16, rate_per=256, learning_rate=0.32, final_rate=0.25)
    assert scaled.peak_rate == pytest.approx(0.02) and SETTINGS.peak_rate == 1e-3
    rate = scaled.rate(INFO)  # five steps an epoch
    assert [float(rate(step)) for step in (0, 5, 50)] == pytest.approx([0.0, 0.02, 0.005])
    with pytest.raises(ValueError, match=r"--warmup of 10 epochs takes 100 of 100 steps; it must end"):
        replace(SETTINGS, warmup=10).rate(INFO)


def test_a_rate_may_fall_in_a_line_that_ends_before_the_run():
    falling = replace(SETTINGS, warmup=2, final_rate=0.2)
    rate = falling.rate_in_a_line(INFO, share=0.6)  # ten steps an epoch
    told = [float(rate(step)) for step in (0, 10, 20, 40, 60, 100)]
    assert told == pytest.approx([0.0, 5e-4, 1e-3, 6e-4, 2e-4, 2e-4], rel=1e-5)
    dropped = replace(falling, drops=(5,)).rate_in_a_line(INFO, share=0.6)
    assert [float(dropped(step)) for step in (49, 50)] == pytest.approx([1e-3, 2e-4], rel=1e-5)


def test_sizes_are_the_datas_unless_they_are_given():
    assert SETTINGS.view_side(INFO) == 16 and replace(SETTINGS, size=None).view_side(INFO) == 16
    assert replace(SETTINGS, size=None).view_side(INFO._replace(side=400)) == 224
    assert INFO.extra("caption") == (5,)
    with pytest.raises(ValueError, match="--data digits has no depth; .* from_arrays"):
        INFO.extra("depth")
    batch = INFO.batch(3)
    assert {name: (x.shape, str(x.dtype)) for name, x in batch.items()} == {
        "image": ((3, 20, 16, 1), "uint8"),
        "label": ((3,), "int32"),
        "caption": ((3, 5), "int32"),
        "index": ((3,), "int32"),
    }


def test_views_are_found_by_name_or_refused_with_the_names():
    names = set(NAMED)
    assert {"simclr", "dino", "swav", "mae", "crops", "handwriting"} <= names
    assert not {"evaluation_view", "multi_crop", "simclr_view", "local_side"} & names
    with pytest.raises(ValueError, match="--views must be one of simclr, .*, got 'simclr_view'"):
        replace(SETTINGS, views="simclr_view").make_views(INFO)


@dataclass(frozen=True)
class Numbers:
    count: Count | None = None
    share: Share = 0.5
    several: tuple[Count, ...] = (1, 2)
    plain: float = 0.0
    seed: Annotated[int, Range(0, 2**64 - 1)] = 0
    on: bool = False
    name: str = ""
    data: Data = ""


@pytest.mark.parametrize(
    "wrong, said",
    [
        (dict(count=0), "--count must be at least 1, got 0"),
        (dict(count=10**12), "--count must be at most 2,147,483,647, got 1000000000000"),
        (dict(share=1.5), "--share must be from 0 to 1, got 1.5"),
        (dict(several=(3, 0)), "--several must be at least 1, got 0"),
        (dict(plain=float("nan")), "--plain must be a finite number, got nan"),
        (dict(plain=-0.1), "--plain must be at least 0, got -0.1"),
        (dict(seed=2**64), "--seed must be from 0 to 18446744073709551615"),
    ],
)
def test_numbers_out_of_range_are_refused(wrong, said):
    check_numbers(Numbers())
    check_numbers(Numbers(seed=2**64 - 1, count=3, share=1, on=True, data=[(None, -1)]))  # without a label
    with pytest.raises(ValueError) as refused:
        check_numbers(Numbers(**wrong))
    assert str(refused.value).startswith(said)


def test_how_a_transformer_is_compiled_is_the_users_choice():
    plain = SETTINGS.network(drop_path=0.1)
    assert plain.scan is False and plain.remat is None and plain.drop_path == 0.1
    chosen = replace(SETTINGS, scan=True, remat="blocks").network()
    assert chosen.scan and chosen.remat is jax.checkpoint_policies.nothing_saveable
    assert replace(SETTINGS, remat="elementwise").network().remat is REMAT["elementwise"]
    assert plain.attend is attend
    assert replace(SETTINGS, attention="xla").network().attend.keywords == {"by": "xla"}


@pytest.mark.parametrize("flag", [dict(scan=True), dict(remat="blocks"), dict(attention="xla")])
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
