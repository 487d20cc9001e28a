"""A frozen network with heads that a student is taught by: from weights, or random to try things out."""

from typing import Any

import jax
import jax.numpy as jnp

from jssl import weights
from jssl.models.network import Network, frozen, with_heads
from jssl.run.experiment import Weights
from jssl.weights.loaded import Loaded

PUBLISHED = {"image": "dino", "patch": "ibot"}  # what the authors' checkpoints call the heads


def frozen_teacher(
    source: Weights | None, encoder: Any, side: int, seed: int | None = None, **heads: Any
) -> tuple[Network, dict[str, Any] | None]:
    """Makes a frozen teacher and finds its weights.

    Args:
        source: A `Loaded` with heads; `plan` has opened what was a name.
        encoder: Its module, where there is no source.
        side: Of the images that it will see, in pixels, to which stored positions are fitted.
        seed: Of random weights, where there is no source.
        heads: name=module; a checkpoint that says its heads' own modules has those.
    Returns:
        The network, and what `init_state` takes as `start`; None where the weights are missing, which
        `init_state` then refuses.
    Raises:
        ValueError: for weights without such heads, or a name that nobody has opened.
    """
    variables: dict[str, dict[str, Any]] = {}
    if isinstance(source, str):
        raise ValueError(
            f"--teacher {source} is a name yet; build through jssl.run, or give weights.load(...)"
        )
    if isinstance(source, Loaded):
        encoder = source.encoder
        variables["encoder"] = weights.resize(source.variables, size=side, encoder=encoder)
        for name in heads:
            found = next((at for at in (name, PUBLISHED.get(name)) if at in source.heads), None)
            if found is None:
                there = ", ".join(source.heads) or "none"
                raise ValueError(
                    f"--teacher needs its head {name!r}, it has {there}; give a run of dinov2 or a "
                    "checkpoint with heads"
                )
            module, variables[name] = source.heads[found]
            heads[name] = module or heads[name]
    net = with_heads(encoder, **heads)
    if variables:
        params = {name: dict(part["params"]) for name, part in variables.items()}
        params["encoder"].pop("mask_token", None)  # nothing is hidden from a teacher
        rest = {name: {k: v for k, v in part.items() if k != "params"} for name, part in variables.items()}
    elif seed is not None:
        params, rest = jax.jit(net.init)(jax.random.key(seed), jnp.zeros((1, side, side, 3)))
    else:
        return frozen(net), None
    return frozen(net), {"memory": {"statistics": {"teacher": {"frozen": {"params": params, **rest}}}}}
