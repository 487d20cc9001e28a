"""Masked prediction: a network predicts a fixed target for hidden patches."""

import jax

from jssl.masks import Masking, hidden_indices
from jssl.methods.base import Method
from jssl.methods.frames.assemble import assemble
from jssl.methods.frames.forward import exact, first_view, hide, masking_keys, together
from jssl.models.features import Features
from jssl.models.network import Network, network
from jssl.objectives.base import Objective, Outputs


def masked_prediction(model, objective: Objective, *, masking, target, across=together) -> Method:
    """Hides patches and compares what is made of the rest: loss = objective(network(images, mask)["patch"],
    target(images)).

    Args:
        model: anything `network` takes that accepts `mask` [B, N] and has an output named `patch` [B, N, D],
            or [B, n, D] at the places in its output `places` [B, n].
        objective: reads the outputs, `outputs.target["patch"]` and the mask.
        masking: (keys [B], images [B, H, W, C]) -> mask [B, N], True = hidden. With a `Masking`, heads over
            tokens run on the hidden patches alone, and `outputs.places` has their places.
        target: images [B, H, W, C] -> [B, N, D], such as the pixels of the patches; or a `frozen` network,
            whose tokens, output `patch` or token ids are the targets.
        across: as in `siamese`.
    Returns:
        A `Method` without a teacher; a frozen target is kept in the memory, under statistics, target.
    Raises:
        ValueError: when initialised, for a target with parameters of its own.
    """
    net = network(model)
    taught = (
        target if isinstance(target, Network) else network((lambda key, x: {}, lambda params, x: target(x)))
    )

    def init(key, views):
        images = first_view(views)
        params, statistics = net.init(key, images, mask=masking(masking_keys(key, views), images))
        learned, held = taught.init(key, images)
        if jax.tree.leaves(learned):
            raise ValueError(
                "masked_prediction: the target network would be trained too; give frozen(network)"
            )
        return params, {"network": statistics, "target": held}

    def forward(params, teacher, statistics, views, keys):
        hidden = {"mask": hide(masking, masking_keys(keys.samples, views), views["global"])}
        if isinstance(masking, Masking) and net.heads is not None:
            hidden["places"] = hidden_indices(hidden["mask"], masking.most(hidden["mask"].shape[-1]))
        student, own = across(net, params, statistics["network"], views, key=keys.network, **hidden)
        if "places" in student:
            hidden["places"] = student["places"]
        shown = (views if isinstance(target, Network) else exact(views))["global"]
        wanted = jax.vmap(lambda images: _tokens(taught.apply({}, statistics["target"], images)[0]))(shown)
        outputs = Outputs(student, {"patch": wanted}, views=views, **hidden)
        return outputs, statistics | {"network": own}

    def evaluated(params, teacher, statistics):
        return params, statistics["network"]

    return assemble(objective, net=net, init=init, forward=forward, evaluated=evaluated)


def _tokens(outputs):
    """The targets among the outputs of a target's network."""
    if isinstance(outputs, Features):
        return outputs.tokens
    return outputs["patch"] if isinstance(outputs, dict) else outputs
