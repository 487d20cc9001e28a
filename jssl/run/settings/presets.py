"""Settings that suit the number of images: `--preset small`, for 300 to 1,000,000 images of your own.

    jssl train dino --data photos --preset small
    jssl train dino --data photos --preset small --start facebook/dinov2-small

Published settings are for a million images and many devices. A system's demo has small heads, queues and
prototypes. The preset takes those and the published views and masks, and chooses network, image size, batch,
steps, learning rate, prototypes and the teacher's momentum by the number of images.
"""

import math
import re
from collections.abc import Set
from dataclasses import fields, replace
from typing import Any

from jssl.run.settings.base import LARGEST_VIEW, Training
from jssl.run.settings.experiment import DataInfo, Settings
from jssl.run.settings.systems import experiments, module_of
from jssl.weights.loaded import Loaded

# settings that in a demo are for its own data, so that the published ones are taken; settings of the user
PUBLISHED = ("views", "mask_ratio", "vocabulary", "caption_length", "end", "text")
YOURS = frozenset("data data_dir canvas share per_class only start teacher scan remat attention".split())
MEMORY = ("queue", "negatives")  # hold other images: at most as many as there are
PROTOTYPES = ("prototypes", "patch_prototypes")
SHARING = 16  # images for each prototype, between the demo's and the published number of these
FOLLOWS = 20  # a teacher averages a twentieth of the run, between the demo's momentum and the published one
LOCALS = 4  # local views, at most
# images, at most: side of the views, letter of a ViT, ResNet
SIZES = ((2_000, 64, "n", "resnet10x0.5"), (10_000, 96, "ti", "resnet18"), (math.inf, 128, "s", "resnet18"))
GRID = 8  # patches along a side, so that attention stays cheap
VIT = r"vit_[a-z]+(\d+)"  # with the side of its patches


def preset(name: str, settings: Settings, data: DataInfo, given: Set[str]) -> tuple[Settings, str]:
    """Chooses the settings of --preset small for a system.

    Args:
        name: Of the system.
        settings, given: As in `small`.
        data: Sizes and counts.
    Returns:
        As `small`.
    Raises:
        ValueError: for an experiment that is none of the systems, which has no demo, and for data that does
            not say how many images it has.
    """
    if not data.examples:
        raise ValueError(f"--preset small goes by the number of images, which {data.name} does not say")
    demo = module_of(name).demo if name in experiments().REGISTRY else None
    if not isinstance(settings, Training) or type(demo) is not type(settings):
        raise ValueError(f"--preset small is for the systems of `jssl list`; {name} is none of them")
    return small(settings, demo, examples=data.examples, side=data.side, given=given)


def small(
    settings: Training, demo: Any, *, examples: int, side: int, given: Set[str] = frozenset()
) -> tuple[Training, str]:
    """Chooses settings for a small data set.

    Args:
        settings: As they were given; `start` may be opened weights.
        demo: Those of the system's demo.
        examples: Training images.
        side: Of a typical image, in pixels.
        given: Names of the settings that were given explicitly: they stay.
    Returns:
        The settings, and a sentence that says what was chosen.
    Examples:
        >>> from jssl.experiments import simclr
        >>> chosen, said = small(simclr.SimCLR(data="photos"), simclr.demo, examples=300, side=500)
        >>> chosen.batch, chosen.steps, chosen.size, chosen.encoder
        (32, 1080, 64, 'resnet10x0.5')
    """
    kind: Any = type(settings)  # every field of a system's has a default
    published, has = kind(), {field.name for field in fields(settings)}
    own = {name: getattr(settings, name) for name in given if name in has}
    _, view, letter, resnet = next(row for row in SIZES if examples <= row[0])
    started = settings.start if isinstance(settings.start, Loaded) else None
    if started is not None:
        patch = getattr(started.encoder, "patch", 32)
        view = max(1, min(LARGEST_VIEW, side) // patch) * patch
    elif side < view:
        view = max(GRID, side // GRID * GRID)
    if started is None and (named := re.fullmatch(VIT, own.get("encoder", ""))):
        view = max(1, view // int(named[1])) * int(named[1])
    view = own.get("size") or view
    batch = own.get("batch", min(256, _power_of_two(examples / 8), examples))
    epochs = min(120, max(50, 120 * (300 / examples) ** 0.25)) / (1 if settings.start is None else 4)
    rate = min(one.peak_rate * math.sqrt(batch / one.batch) for one in (published, demo))  # the root rule
    steps = own.get("steps") or max(1, round(own.get("epochs", epochs)) * (examples // batch))
    chosen: dict[str, Any] = {
        **{name: getattr(published, name) for name in PUBLISHED if name in has},
        **{name: getattr(settings, name) for name in YOURS if name in has},
        "encoder": _encoder(demo.encoder, letter, _patch(view), resnet),
        "size": view,
        "batch": batch,
        "steps": None if "epochs" in own else steps,
        "learning_rate": float(f"{rate:.2g}"),
        "rate_per": None,
    }
    if "locals" in has:
        chosen["locals"] = min(LOCALS, published.locals)
    for name in has.intersection(PROTOTYPES):
        wanted = max(getattr(demo, name), _power_of_two(examples / SHARING))
        chosen[name] = min(getattr(published, name), wanted)
    if "momentum" in has:
        chosen["momentum"] = max(demo.momentum, min(published.momentum, 1 - FOLLOWS / steps))
    for name in has.intersection(MEMORY):
        held = min(getattr(demo, name), _power_of_two(examples / 2))
        chosen[name] = max(batch, held // batch * batch) if held else 0  # whole batches
    if "clusters" in has:
        share = min(1.0, _power_of_two(examples / SHARING) / published.clusters[0])
        pairs = zip(demo.clusters, published.clusters, strict=False)  # a demo may have fewer levels
        grown = [max(k, round(share * most)) for k, most in pairs]
        chosen["clusters"] = tuple(min(k, examples * (i + 1) // 8) for i, k in enumerate(grown))
    result = replace(demo, **chosen | own)
    network = "the weights' network" if settings.start is not None else result.encoder
    length = f"{result.steps:,} steps" if result.steps else f"{result.epochs:g} epochs"
    said = (
        f"--preset small, for {examples:,} images: {network} at {result.size} pixels, batches of "
        f"{result.batch}, {length}, learning rate {result.learning_rate:g}, views "
        f"{result.views}; heads and memory as in the system's demo{_also(result)}"
    )
    kept = sorted(set(own) - YOURS)
    return result, said + (f"; as given: {', '.join(kept)}" if kept else "")


def _also(settings: Any) -> str:
    """The settings, in words, that depend on the number of images besides sizes, steps and rate."""
    told = [f"{settings.prototypes:,} prototypes"] if hasattr(settings, "prototypes") else []
    clusters = ", ".join(f"{k:,}" for k in getattr(settings, "clusters", ()))
    told += [f"{clusters} clusters"] if clusters else []
    told += [f"momentum {settings.momentum:.3g}"] if hasattr(settings, "momentum") else []
    return ", but " + " and ".join(told) if told else ""


def _patch(view: int) -> int:
    """The side of patches that divide a view: `GRID` along a side, or up to twice as many."""
    most = max(1, view // GRID)
    return next((side for side in range(most, most // 2, -1) if view % side == 0), most)


def _power_of_two(number: float) -> int:
    """The largest power of two that is not above a number; at least 8."""
    return 2 ** int(math.log2(max(8, number)))


def _encoder(name: str, letter: str, patch: int, resnet: str) -> str:
    """The name of a smaller network of the same kind; for an unknown kind, the demo's own."""
    if re.fullmatch(VIT, name):
        return f"vit_{letter}{patch}"
    return resnet if re.fullmatch(r"resnet\d+(x[\d.]+)?(_cifar)?", name) else name
