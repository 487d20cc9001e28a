"""Frozen networks that a run learns from: fitted to its images, kept in its state, never trained."""

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
from jssl.models.encoders.readouts import read_class, read_normed_class
from jssl.models.freezing import frozen
from jssl.models.headed import with_heads
from jssl.models.heads import clip_head
from jssl.models.masked.words import likeliest, patch_words
from jssl.models.network import Network, as_outputs, network
from jssl.run.settings.base import Training
from jssl.run.settings.experiment import AS_DRAWN, DataInfo, Weights
from jssl.weights.loaded import Loaded
from jssl.weights.preprocessing import Preprocess

PUBLISHED = {"image": "dino", "patch": "ibot"}  # what the authors' checkpoints call the heads
Heads = Mapping[str, tuple[Any, Any]]  # by name: as `with_heads` takes it, and its variables


class FrozenTeacher(NamedTuple):
    """A frozen network for a run.

    Attributes:
        network: The network. It holds no weights, unless they are random.
        given: Its part of the first state, as `Experiment.given`; shapes stand in for weights that were not
            read. None without weights.
    """

    network: Network
    given: Mapping[str, Any] | None


@dataclass(frozen=True, kw_only=True)
class Taught(Training):
    """Settings of systems that learn from a frozen network."""

    teacher: Weights | None = None
    """Weights of the frozen network: a published name, a file or a run; random: a network as it is drawn."""

    @property
    def taught_by(self) -> Loaded | None:
        """The weights of the frozen network, which `plan` has opened; None where there are none.

        Raises:
            ValueError: for a name that was not opened yet.
        """
        if self.teacher is None or isinstance(self.teacher, Loaded):
            return self.teacher
        if self.teacher == AS_DRAWN:
            return None
        raise ValueError(
            f"--teacher {self.teacher} is a name yet; build through jssl.run, or give jssl.weights.load(name)"
        )

    def taught_heads(self, **modules: Any) -> dict[str, tuple[Any, Any]]:
        """Finds heads of the frozen network by their names.

        Args:
            modules: name=module, for weights that do not describe their heads.
        Returns:
            {name: (module, variables)}; variables are None without weights.
        Raises:
            ValueError: for weights without such a head.
        """
        if (loaded := self.taught_by) is None:
            return {name: (module, None) for name, module in modules.items()}
        found = {}
        for name, module in modules.items():
            at = next((at for at in (name, PUBLISHED.get(name)) if at in loaded.heads), None)
            if at is None:
                there = ", ".join(loaded.heads) or "none"
                raise ValueError(
                    f"--teacher needs its head {name!r}, it has {there}; give a run of dinov2 or a "
                    "checkpoint with heads"
                )
            own, variables = loaded.heads[at]
            found[name] = (own or module, variables)
        return found

    def frozen_teacher(
        self, data: DataInfo, encoder: Any, *, at: str, heads: Heads | None = None
    ) -> FrozenTeacher:
        """Makes the frozen network for the images of the views: its positions are resized to them, and images
        are normalised as it expects.

        Args:
            data: Sizes of the run's images.
            encoder: Its module.
            at: Its place among the method's statistics.
            heads: On the encoder.
        Returns:
            A `FrozenTeacher`. Without --teacher it has no weights, and `init_state` refuses it.
        """
        modules = {name: head for name, (head, _) in (heads or {}).items()}
        net = with_heads(encoder, **modules) if modules else network(encoder)
        loaded, side = self.taught_by, self.view_side(data)
        if loaded is None:
            return FrozenTeacher(frozen(net, drawn=self.teacher == AS_DRAWN), None)
        image = jax.ShapeDtypeStruct((1, side, side, data.image[-1]), jnp.float32)
        if loaded.variables is None:
            params, statistics = jax.eval_shape(net.init, jax.random.key(0), image)
            held = {"params": params, **statistics}
        else:
            held = dict(weights.resize(loaded.variables, size=side, encoder=loaded.encoder))
            held["params"] = {name: x for name, x in held["params"].items() if name != "mask_token"}
            if heads:
                held = _under_names({"encoder": held, **{name: x for name, (_, x) in heads.items()}})
        seen = _renormalized(net, self.normalization, loaded.preprocess, data)
        return FrozenTeacher(frozen(seen), {"memory": {"statistics": {at: {"frozen": held}}}})

    def frozen_patches(self, data: DataInfo, encoder: Any) -> tuple[FrozenTeacher, int]:
        """Makes a frozen network whose outputs are patches' normalised tokens, projected if the weights hold
        CLIP's projection.

        Args:
            data: Sizes of the run's images.
            encoder: With a `grid`; the network has to have as many patches.
        Returns:
            A `FrozenTeacher`, and the width of its output for a patch. Without --teacher its network is like
            the encoder.
        Raises:
            ValueError: for another number of patches.
        """
        loaded, side = self.taught_by, self.view_side(data)
        module = encoder_named(self.encoder) if loaded is None else loaded.encoder
        if getattr(module, "readout", None) is read_normed_class:
            module = module.clone(readout=read_class)
        head = None if loaded is None else _projection(loaded)
        teacher = self.frozen_teacher(data, module, at="target", heads={"patch": head} if head else None)
        image = jax.ShapeDtypeStruct((1, side, side, data.image[-1]), jnp.float32)
        _, statistics = jax.eval_shape(teacher.network.init, jax.random.key(0), image)
        outputs = as_outputs(jax.eval_shape(teacher.network.apply, {}, statistics, image)[0])
        _, tokens, dim = outputs["patch" if head else "tokens"].shape
        patches = math.prod(encoder.grid(image.shape))
        if patches != tokens:
            raise ValueError(
                f"--teacher makes {tokens} patches of a view of {side} pixels, --encoder {patches}; choose "
                "an encoder of its patch, or another --size"
            )
        return teacher, dim


@dataclass(frozen=True, kw_only=True)
class Words(Taught):
    """Settings of systems that predict words of hidden patches."""

    def tokenizer(self, data: DataInfo, encoder: Any, *, words: int) -> tuple[FrozenTeacher, int]:
        """Makes the tokenizer: the network of --teacher, or the nearest of mean patches of the first batch.

        Args:
            data: Sizes of the run's images.
            encoder: With a `patch` and a `grid`.
            words: How many there are without --teacher.
        Returns:
            A `FrozenTeacher`, and the number of words.
        Raises:
            ValueError: for another number of patches than the encoder's.
        """
        if self.teacher is None:
            return FrozenTeacher(patch_words(encoder.patch, words), None), words
        teacher, dim = self.frozen_patches(data, encoder)
        return teacher._replace(network=likeliest(teacher.network)), dim


def _under_names(parts: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The variables of an encoder and its heads, as those of one network."""
    params = {name: part["params"] for name, part in parts.items()}
    rest = {name: {kind: x for kind, x in part.items() if kind != "params"} for name, part in parts.items()}
    return {"params": params, **rest}


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
    """The network on images whose normalisation is changed from that of the views to its own."""
    own = Statistics(preprocess.mean, preprocess.std) if isinstance(preprocess, Preprocess) else given
    if own == given:
        return net
    (mean, std), (wanted, deviation) = (tuple(map(jnp.asarray, x.of(data.image[-1]))) for x in (given, own))

    def through(run, params, statistics, images, *more, **named):
        seen = ((images * std + mean - wanted) / deviation).astype(images.dtype)
        return run(params, statistics, seen, *more, **named)

    apply, features = partial(through, net.apply), partial(through, net.features)
    return net._replace(apply=apply, features=features, encode=net.encode and partial(through, net.encode))
