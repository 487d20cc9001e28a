"""Joint prediction: visible patches predict a teacher's features of hidden blocks."""

from functools import partial

import jax
import jax.numpy as jnp

from jssl.arrays.grids import at_places
from jssl.masks import visible_indices
from jssl.methods.base import Method, ema
from jssl.methods.frames.assemble import assemble
from jssl.methods.frames.forward import first_view, masking_keys
from jssl.models.network import as_features, network
from jssl.objectives.base import Objective, Outputs


def joint_predictive(encoder, predictor, objective: Objective, *, momentum, masking, sizes, target) -> Method:
    """Predicts a teacher's tokens of hidden blocks: loss = objective(predictor(encoder(context)),
    target(teacher(image))).

    Args:
        encoder: images, visible [B, n], present [B, n] -> `Features`; with a method grid(image shape), such
            as `ViT`.
        predictor: (context [B, n, D], visible [B, n], places [M, B, m], grid, present=) -> [M, B, m, D].
        objective: reads student and target "patch" [M, B, m, D] and a mask [M, B, m], True where a patch is
            real.
        momentum: a number or a schedule for the teacher, the encoder's running mean.
        masking: (keys [B], images) -> (context [B, N], targets [M, B, N]), True = hidden from the context /
            to be predicted.
        sizes: grid -> (n, m), the most patches that a context and a target can have. Shorter ones are padded;
            padding is neither attended to nor scored.
        target: tokens [B, N, D] -> [B, N, D], a function of the teacher's tokens, such as a LayerNorm.
    Returns:
        A `Method` with a teacher, whose features are evaluated.
    """
    net, head = network(encoder), network(predictor)

    def blocks(key, views):
        images = first_view(views)
        grid = encoder.grid(images.shape)
        seen, wanted = sizes(grid)
        context, targets = masking(masking_keys(key, views), images)
        visible = visible_indices(context, seen)
        places = jax.vmap(lambda hidden: visible_indices(~hidden, wanted))(targets)
        present = jnp.arange(seen) < jnp.sum(~context, -1, keepdims=True)
        real = jnp.arange(wanted) < jnp.sum(targets, -1, keepdims=True)
        return grid, visible, places, present, real

    def init(key, views):
        images = first_view(views)
        grid, visible, places, *_ = blocks(key, views)
        params, statistics = {}, {}
        params["encoder"], statistics["encoder"] = net.init(jax.random.fold_in(key, 0), images)
        tokens = as_features(
            net.apply(params["encoder"], statistics["encoder"], images, visible=visible)[0]
        ).tokens
        head_key = jax.random.fold_in(key, 1)
        params["predictor"], statistics["predictor"] = head.init(head_key, tokens, visible, places, grid)
        return params, statistics | {"teacher": statistics["encoder"]}

    def forward(params, teacher, statistics, views, keys):
        images = first_view(views)
        encoder_key, predictor_key = jax.random.split(keys.network)
        grid, visible, places, present, real = blocks(keys.samples, views)
        taught, teacher_statistics = net.apply(teacher["encoder"], statistics["teacher"], images, train=True)
        wanted = jax.vmap(partial(at_places, target(as_features(taught).tokens)))(places)
        seen, encoder_statistics = net.apply(
            params["encoder"],
            statistics["encoder"],
            images,
            visible=visible,
            present=present,
            train=True,
            key=encoder_key,
        )
        predicted, predictor_statistics = head.apply(
            params["predictor"],
            statistics["predictor"],
            as_features(seen).tokens,
            visible,
            places,
            grid,
            present=(present, real),
            train=True,
            key=predictor_key,
        )
        after = {
            "encoder": encoder_statistics,
            "predictor": predictor_statistics,
            "teacher": teacher_statistics,
        }
        return Outputs({"patch": predicted}, {"patch": wanted}, real, views), after

    def follows(params):
        return {"encoder": params["encoder"]}

    return assemble(
        objective,
        net=net,
        init=init,
        forward=forward,
        evaluated=lambda params, teacher, statistics: (teacher["encoder"], statistics["teacher"]),
        teacher=ema(momentum, follows),
    )
