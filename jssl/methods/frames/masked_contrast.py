"""Masked contrast: a masked autoencoder whose second decoder predicts a vector of the image, which is
compared with a teacher's vector of another, whole view.
"""

import jax

from jssl.methods.base import Method, ema
from jssl.methods.frames.assemble import assemble
from jssl.methods.frames.forward import exact, first_view, hide, key_view, masking_keys, query_view
from jssl.models.headed import with_heads
from jssl.models.network import network
from jssl.objectives.base import Objective, Outputs

FOLLOWED = ("encoder", "projection")


def masked_contrast(
    net, objective: Objective, *, teacher, projection, prediction, momentum, masking, target
) -> Method:
    """Predicts hidden patches and a teacher's vector of the other view: loss = objective(network(first view,
    mask), {target(first view), projection(teacher(other view))}).

    Args:
        net: a network of images and mask, as `encode_decode` makes it, with a second decoder named
            `describer`, whose mean token represents the image.
        objective: reads student and target "patch" [1, B, N, D] and "prediction" [1, B, K], and the mask.
        teacher: a network with the encoder's parameters, images -> an output "cls" [B, D], as wide as the
            describer's.
        projection: [B, D] -> [B, K], a head of student and teacher.
        prediction: [B, K] -> [B, K], a head of the student alone.
        momentum: a number or a schedule for the teacher, the running mean of encoder and projection.
        masking: (keys [B], images) -> mask [B, N], True = hidden, of the first view.
        target: images -> [B, N, D], the targets for the patches of the first view.
    Returns:
        A `Method` with a teacher, whose student's features are evaluated; views: two global ones.
    """
    whole = with_heads(teacher, projection=projection)
    heads = {"projection": network(projection), "prediction": network(prediction)}

    def init(key, views):
        images = first_view(views)
        hidden = dict(mask=masking(masking_keys(key, views), images))
        params, statistics = net.init(jax.random.fold_in(key, 0), images, **hidden)
        x = net.apply(params, statistics, images, **hidden)[0]["describer"].mean(1)
        for i, (name, head) in enumerate(heads.items(), start=1):
            params[name], statistics[name] = head.init(jax.random.fold_in(key, i), x)
            x = head.apply(params[name], statistics[name], x)[0]
        return params, {"student": statistics, "teacher": {name: statistics[name] for name in FOLLOWED}}

    def forward(params, teacher, statistics, views, keys):
        first, other = query_view(views)["global"], key_view(views)["global"][0]
        mask, own = hide(masking, masking_keys(keys.samples, views), first), statistics["student"]
        student, after = net.apply(params, own, first[0], mask=mask[0], train=True, key=keys.network)
        x = student["describer"].mean(1)
        for name, head in heads.items():
            x, after[name] = head.apply(params[name], own[name], x, train=True)
        taught, theirs = whole.apply(teacher, statistics["teacher"], other, train=True)
        student = {name: value[None] for name, value in (student | {"prediction": x}).items()}
        wanted = {"patch": target(exact(views)["global"][0])[None], "prediction": taught["projection"][None]}
        return Outputs(student, wanted, mask, views), {"student": after, "teacher": theirs}

    return assemble(
        objective,
        net=net,
        init=init,
        forward=forward,
        evaluated=lambda params, teacher, statistics: (params, statistics["student"]),
        teacher=ema(momentum, lambda params: {name: params[name] for name in FOLLOWED}),
    )
