"""--preset small: every system gets settings that it can be built with, and what is given stays."""

import re
from dataclasses import replace
from functools import partial

import jax
import numpy as np
import pytest
from jssl.experiments import REGISTRY

from jssl.models import ViT
from jssl.run import DataInfo
from jssl.run.command import flags, parse
from jssl.run.plan import experiment_name
from jssl.run.settings.presets import preset, small
from jssl.run.settings.systems import module_of, named
from jssl.train import init_state
from jssl.weights import Loaded
from tests.run import tiny

SYSTEMS = [name for name, system in REGISTRY.items() if "image" in system.needs]


def photos(count, side=256):
    return DataInfo("folder:photos", count, (side, side, 3), side, 5, {"caption": ((32,), "int32")})


@pytest.mark.parametrize("name", SYSTEMS)
def test_every_system_is_built_for_few_and_for_many_images(name):
    sizes = []
    for count in (270, 5_000, 50_000):
        chosen, said = preset(name, named(name)(data="photos"), photos(count), set())
        experiment = chosen.build(photos(count))
        if getattr(chosen, "locals", 0) and "vit" in chosen.encoder:  # local views are of whole patches
            assert chosen._local_side(chosen.size) % int(re.sub(r"vit_[a-z]+", "", chosen.encoder)) == 0
        assert chosen.data == "photos" and f"{count:,} images" in said and chosen.encoder in said
        assert 8 <= experiment.batch <= 256 and count // experiment.batch >= 8
        assert 50 <= experiment.steps // (count // experiment.batch) <= 120
        published = named(name)()  # the smaller batch is noisier: the rate falls with its root
        assert experiment.peak_rate <= 1.05 * published.peak_rate * (chosen.batch / published.batch) ** 0.5
        sizes.append(chosen.size)
    assert sizes == [64, 96, 128]


def test_what_learns_from_a_clip_has_as_many_patches():
    """The line that `jssl train` shows for it."""
    clip = ViT(patch=14, dim=8, depth=1, heads=2)
    teacher = Loaded(clip, jax.jit(clip.init)(jax.random.key(0), np.zeros((1, 28, 28, 3), np.float32)))
    settings = named("eva")(data="photos", teacher=teacher, encoder="vit_s14")
    chosen, _ = preset("eva", settings, photos(300), {"teacher", "encoder"})
    assert chosen.size == 56 and chosen.build(photos(300)).batch == 32


def test_small_images_are_not_enlarged_and_what_is_given_stays():
    settings = named("dino")(data="photos", batch=12, encoder="vit_s8", temperature_warmup=3)
    chosen, said = preset("dino", settings, photos(300, side=50), {"batch", "encoder", "out"})
    assert (chosen.size, chosen.batch, chosen.encoder) == (48, 12, "vit_s8")
    assert said.endswith("as given: batch, encoder") and chosen.steps == 120 * (300 // 12)
    assert chosen.temperature_warmup == module_of("dino").demo.temperature_warmup  # it was not said to stay
    assert (
        chosen.views == "dino"
        and chosen.locals == 4
        and chosen.prototypes == module_of("dino").demo.prototypes
    )


def test_what_is_given_and_what_is_chosen_go_together():
    chosen, _ = preset("mae", named("mae")(encoder="vit_s16"), photos(20_000, side=120), {"encoder"})
    assert chosen.size == 112  # whole patches of it
    chosen, _ = preset("mae", named("mae")(size=100), photos(20_000), {"size"})
    assert chosen.encoder == "vit_s10"
    off = named("ibot")(shared_head=False)
    assert not preset("ibot", off, photos(300), flags(["--no-shared-head"]))[0].shared_head
    chosen, _ = preset("moco_v2", named("moco_v2")(batch=100), photos(300), {"batch"})
    assert chosen.queue == 100  # whole batches


def test_clusters_grow_with_the_images_up_to_the_published():
    few, some, many = (
        preset("deepcluster_v2", named("deepcluster_v2")(), photos(count), set())[0].clusters
        for count in (300, 50_000, 1_000_000)
    )
    assert (few, some, many) == ((24,) * 3, (2048,) * 3, (3000,) * 3)
    pcl, said = preset("pcl", named("pcl")(), photos(1_000_000), set())
    assert pcl.clusters == (25_000, 50_000) and "25,000, 50,000 clusters" in said


def test_prototypes_and_momentum_grow_with_the_images_up_to_the_published():
    for name in ("dinov2", "dinov3"):
        demo, published = module_of(name).demo, named(name)()
        few, some, many = (
            preset(name, named(name)(data="photos"), photos(count), set())[0]
            for count in (1_000, 100_000, 1_000_000)
        )
        assert (few.prototypes, few.momentum) == (demo.prototypes, demo.momentum) == (512, 0.99)
        assert (some.prototypes, many.patch_prototypes) == (4096, 32768)
        assert few.mask_ratio == published.mask_ratio and many.momentum == published.momentum
        assert few.batch == 64 and many.batch == 256 and few.steps < some.steps < many.steps


def test_weights_to_start_from_set_the_size_and_need_fewer_steps():
    from jssl.models import encoder
    from jssl.weights.loaded import Loaded
    from jssl.weights.preprocessing import Preprocess

    settings = named("dino")(data="photos")
    anew, _ = small(settings, module_of("dino").demo, examples=300, side=500)
    started = replace(settings, start=Loaded(encoder("vit_n14"), None, preprocess=Preprocess(256, 224)))
    chosen, said = small(started, module_of("dino").demo, examples=300, side=200)
    assert chosen.size == 196 and chosen.steps * 4 == anew.steps and "the weights' network" in said
    assert chosen.peak_rate == pytest.approx(0.1 * anew.peak_rate)  # as --continued-rate has it


@pytest.mark.parametrize("side", [28, 44, 60, 256])
def test_a_hole_is_as_large_as_what_the_decoder_makes(side):
    chosen, _ = preset("context_encoder", named("context_encoder")(), photos(300, side), set())
    experiment = chosen.build(photos(300, side))
    made = partial(init_state, experiment.method, experiment.optimizer, experiment.views)
    state = jax.eval_shape(partial(made, key=jax.random.key(0)), photos(300, side).batch(8))
    assert state.step.shape == () and chosen.view_side(photos(300, side)) % 16 == 0


def test_a_preset_is_for_systems_and_not_for_demos():
    with pytest.raises(ValueError, match="for the systems of `jssl list`; tiny is none of them"):
        preset(experiment_name(tiny.Tiny), tiny.Tiny(), photos(300), set())
    with pytest.raises(ValueError, match="by the number of images, which folder:photos does not say"):
        preset("dino", named("dino")(), photos(0), set())  # batches without an end
    with pytest.raises(ValueError, match="--demo and --preset each choose all settings"):
        parse(module_of("dino").demo, ["--demo", "--preset", "small"], command=["jssl"])
    assert flags(["--batch", "8", "--layer-decay=1", "x"]) == {"batch", "layer_decay"}


def test_epochs_that_are_given_decide_and_memory_holds_no_more_than_there_is():
    chosen, said = preset("moco_v2", named("moco_v2")(data="photos", epochs=7), photos(300), {"epochs"})
    assert chosen.steps is None and chosen.length(photos(300)) == 7 * (300 // 32) and "7 epochs" in said
    assert chosen.queue == 128 and chosen.queue % chosen.batch == 0
    many, _ = preset("moco_v2", named("moco_v2")(data="photos"), photos(50_000), set())
    assert many.queue == module_of("moco_v2").demo.queue
    assert preset("pcl", named("pcl")(data="photos"), photos(300), set())[0].clusters == (37, 75)
