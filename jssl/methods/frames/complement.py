"""Complement: the visible patches predict a teacher's output for the hidden patches alone."""

import jax
import jax.numpy as jnp

from jssl.arrays.keys import fold_keys, uniform
from jssl.methods.base import Method, ema
from jssl.methods.frames.assemble import assemble
from jssl.methods.frames.forward import first_view, masking_keys
from jssl.models.masked.autoencoder import encode_decode
from jssl.models.network import as_features, network
from jssl.objectives.base import Objective, Outputs


def complement(encoder, decoder, objective: Objective, *, momentum, masking, visible, folds=1) -> Method:
    """Predicts a teacher's tokens of the hidden patches: loss = objective(decoder(encoder(visible)),
    teacher(hidden)).

    Args:
        encoder: images, visible [B, n] -> `Features`; with a method grid(image shape), such as `ViT`.
        decoder: as for `encode_decode`, with as many outputs as a token of the encoder has features.
        objective: reads student and target "patch" [1, B, N, D], where the target of visible patches is zero,
            and the mask.
        momentum: a number or a schedule for the teacher, the encoder's running mean.
        masking: (keys [B], images) -> mask [B, N], True = hidden.
        visible: N -> how many of N patches are visible.
        folds: the number of random parts into which the hidden patches of each image are divided; the teacher
            encodes one part at a time.
    Returns:
        A `Method` with a teacher, whose student's features are evaluated.
    Raises:
        ValueError: when initialised, for folds that do not divide the hidden patches.
    """
    net, following = encode_decode(encoder, decoder, visible=visible), network(encoder)

    def hidden(key, views):
        """Returns the images, their masks, and the hidden places [B, folds, patches in a fold] in random
        order.
        """
        images, keys = first_view(views), masking_keys(key, views)
        mask = masking(keys, images)
        patches = mask.shape[-1]
        count = patches - visible(patches)
        if count % folds:
            raise ValueError(f"folds={folds} must divide the {count} hidden patches; change the ratio")
        order = jnp.where(mask, uniform(fold_keys(keys, 1), shape=(patches,)), 1.0)
        return images, mask, jnp.argsort(order, axis=-1)[:, :count].reshape(len(mask), folds, -1)

    def init(key, views):
        images, mask, _ = hidden(key, views)
        params, statistics = net.init(key, images, mask=mask)
        return params, {"student": statistics, "teacher": statistics["encoder"]}

    def forward(params, teacher, statistics, views, keys):
        images, mask, places = hidden(keys.samples, views)
        how = dict(mask=mask, train=True, key=keys.network)
        student, own = net.apply(params, statistics["student"], images, **how)
        parts = dict(visible=places.reshape(-1, places.shape[-1]), train=True)
        repeated = jnp.repeat(images, folds, axis=0)
        taught, theirs = following.apply(teacher["encoder"], statistics["teacher"], repeated, **parts)
        batch, dim = len(images), student["patch"].shape[-1]
        tokens, places = as_features(taught).tokens.reshape(batch, -1, dim), places.reshape(batch, -1)
        empty = jnp.zeros((*mask.shape, dim), tokens.dtype)
        wanted = jax.vmap(lambda row, at, x: row.at[at].set(x))(empty, places, tokens)
        outputs = {name: value[None] for name, value in student.items()}
        after = {"student": own, "teacher": theirs}
        return Outputs(outputs, {"patch": wanted[None]}, mask[None], views), after

    return assemble(
        objective,
        net=net,
        init=init,
        forward=forward,
        evaluated=lambda params, teacher, statistics: (params, statistics["student"]),
        teacher=ema(momentum, lambda params: {"encoder": params["encoder"]}),
    )
