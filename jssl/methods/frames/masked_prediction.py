"""Masked prediction: patches are hidden, and a fixed target is predicted where they were."""

import jax

from jssl.methods.base import Method
from jssl.methods.frames.assemble import assemble
from jssl.methods.frames.forward import hide, masking_keys, together
from jssl.models.network import network
from jssl.objectives.base import Objective, Outputs


def first_view(views):
    """The one view of methods that need no second, [B, H, W, C]."""
    return views["global"][0]


def masked_prediction(model, objective: Objective, *, masking, target, across=together) -> Method:
    """loss = objective(network(images, mask)["patch"], target(images), mask).

    model: anything `network` takes that accepts `mask` [B, N] and makes an output named `patch` [B, N, D].
    masking: (key, images [B, H, W, C]) -> mask [B, N], True = hidden.
    target: images [B, H, W, C] -> [B, N, D], what the hidden patches held: pixels, HOG, tokens, a frozen network's features.
    across: as in `siamese`.

    Returns: a `Method` without a teacher; the target is `outputs.target["patch"]`.
    """
    net = network(model)

    def init(key, views):
        images = first_view(views)
        return net.init(key, images, mask=masking(masking_keys(key, views), images))

    def forward(params, teacher, statistics, views, key):
        mask_key, network_key = jax.random.split(key)
        mask = hide(masking, mask_key, views)
        student, statistics = across(net, params, statistics, views, key=network_key, mask=mask)
        return Outputs(student, {"patch": jax.vmap(target)(views["global"])}, mask, views), statistics

    def features(params, teacher, statistics, images):
        return net.features(params, statistics, images)

    def encoder(params, teacher, statistics):
        return net.encoder(params, statistics)

    return assemble(objective, init=init, forward=forward, features=features, encoder=encoder)
