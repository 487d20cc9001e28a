"""Frozen networks whose features or words are predicted: opened by name, fitted to a run, told in words."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jssl import weights
from jssl.data.augment.base import Statistics
from jssl.models import encoder as encoder_named
from jssl.models.described import describe, plain, restored
from jssl.models.encoders.vit import read_class, read_normed_class
from jssl.models.heads import clip_head
from jssl.models.masked.words import likeliest, patch_words
from jssl.models.network import Network, as_outputs, frozen, network, with_heads
from jssl.run.experiment import DataInfo, Weights
from jssl.run.settings import Training
from jssl.weights.loaded import Loaded
from jssl.weights.own import about, network_of
from jssl.weights.preprocessing import Preprocess

TARGET, HEAD = "target", "head"


class Target(NamedTuple):
    """A frozen network for a run.

    Attributes:
        network: Without weights.
        given: What the first state has of it, as `Experiment.given`; shapes stand in for weights that were
            not read.
        dim: The width of what it says of a patch.
    """

    network: Network
    given: Mapping[str, Any] | None
    dim: int


def opened_target(source: Weights, config: Mapping[str, Any] | None) -> Loaded:
    """Opens a frozen target. A run that was begun already knows its network, and nothing is read.

    Args:
        source: As `FrozenTarget.target`.
        config: What config.json holds of the run's own directory; None before it is begun.
    Returns:
        A `Loaded`; where nothing was read, without variables and with no other head than "image_projection".
    Raises:
        ValueError: as `jssl.weights.load`.
    """
    if isinstance(source, str) and config is not None and config.get(TARGET) is not None:
        encoder, preprocess = network_of(config[TARGET])
        head = config[TARGET][HEAD]
        heads = {} if head is None else {"image_projection": (restored(head), None)}
        return Loaded(encoder, None, heads, preprocess)
    try:
        return source if isinstance(source, Loaded) else weights.load(source)
    except (ValueError, FileNotFoundError) as error:
        raise ValueError(f"--target {source}: {error}") from None


@dataclass(frozen=True, kw_only=True)
class FrozenTarget(Training):
    """Settings of systems that predict what a frozen network makes of hidden patches."""

    target: Weights | None = None
    """Weights of the frozen network: a published name, a file or a run."""

    @property
    def target_weights(self) -> Loaded | None:
        """The weights of the frozen network, which `plan` has opened.

        Raises:
            ValueError: for a name that was not opened yet.
        """
        if self.target is None or isinstance(self.target, Loaded):
            return self.target
        raise ValueError(
            f"--target {self.target} is a name yet; build through jssl.run, or give jssl.weights.load(name)"
        )

    def target_in_words(self) -> dict[str, Any] | None:
        """What config.json says of the frozen network; None without one, or where it has no name."""
        loaded = self.target_weights
        if loaded is None:
            return None
        try:
            head = _projection(loaded)
            told = {HEAD: None if head is None else describe(head[0])}
            return about(plain(loaded.encoder), loaded.preprocess) | told
        except ValueError:
            return None

    def frozen_target(self, data: DataInfo, encoder) -> Target:
        """Makes the frozen network for the images of the views.

        Its tokens are normalised, and projected where the weights hold CLIP's projection.

        Args:
            data: Sizes of the run's images.
            encoder: With a `grid`; the network has to have as many patches.
        Returns:
            A `Target`. Without --target its network is as the encoder, and has no weights.
        Raises:
            ValueError: for another number of patches.
        """
        loaded, side = self.target_weights, self.view_side(data)
        module = encoder_named(self.encoder) if loaded is None else loaded.encoder
        if getattr(module, "readout", None) is read_normed_class:
            module = module.clone(readout=read_class)
        head = None if loaded is None else _projection(loaded)
        net = network(module) if head is None else with_heads(module, patch=head[0])
        image = jax.ShapeDtypeStruct((1, side, side, data.image[-1]), jnp.float32)
        params, statistics = jax.eval_shape(net.init, jax.random.key(0), image)
        outputs = as_outputs(jax.eval_shape(net.apply, params, statistics, image)[0])
        _, tokens, dim = outputs["tokens" if head is None else "patch"].shape
        patches = math.prod(encoder.grid(image.shape))
        if patches != tokens:
            raise ValueError(
                f"--target makes {tokens} patches of a view of {side} pixels, --encoder {patches}; choose an "
                "encoder of its patch, or another --size"
            )
        if loaded is None:
            return Target(frozen(net), None, dim)
        held: dict[str, Any] = {"params": params, **statistics}
        if loaded.variables is not None:
            held = dict(weights.resize(loaded.variables, size=side, encoder=loaded.encoder))
            if head is not None:
                params = {"encoder": held.pop("params"), "patch": head[1]["params"]}
                held = {**statistics, "params": params, "encoder": held}
        given = {"memory": {"statistics": {"target": {"frozen": held}}}}
        return Target(frozen(_renormalized(net, self.normalization, loaded.preprocess, data)), given, dim)


@dataclass(frozen=True, kw_only=True)
class Words(FrozenTarget):
    """Settings of systems that predict words of hidden patches."""

    def tokenizer(self, data: DataInfo, encoder, *, words: int) -> Target:
        """Makes what says the words: the network of --target, or the nearest mean patch of the first batch.

        Args:
            data: Sizes of the run's images.
            encoder: With a `patch` and a `grid`.
            words: How many there are without --target.
        Returns:
            A `Target`, its `dim` the number of words.
        Raises:
            ValueError: for another number of patches than the encoder's.
        """
        if self.target is None:
            return Target(patch_words(encoder.patch, words), None, words)
        target = self.frozen_target(data, encoder)
        return target._replace(network=likeliest(target.network))


def _projection(loaded: Loaded) -> tuple[Any, Any] | None:
    """CLIP's projection into the joint space, of published weights or of a run: (module, variables)."""
    if "image_projection" in loaded.heads:
        return loaded.heads["image_projection"]
    variables: Mapping[str, Any] = loaded.heads["image"][1] if "image" in loaded.heads else {}
    params = variables.get("params", {})
    if set(params) == {"layers_0"} and set(params["layers_0"]) == {"kernel"}:
        return clip_head(params["layers_0"]["kernel"].shape[-1]), variables
    return None


def _renormalized(net: Network, given: Statistics, preprocess: Any, data: DataInfo) -> Network:
    """The network behind a change of normalisation, from that of the views to its own."""
    own = Statistics(preprocess.mean, preprocess.std) if isinstance(preprocess, Preprocess) else given
    if own == given:
        return net
    (mean, std), (wanted, deviation) = (tuple(map(jnp.asarray, x.of(data.image[-1]))) for x in (given, own))

    def through(apply, params, statistics, images, *more, **named):
        seen = ((images * std + mean - wanted) / deviation).astype(images.dtype)
        return apply(params, statistics, seen, *more, **named)

    return net._replace(apply=partial(through, net.apply), features=partial(through, net.features))
