"""Towers: one network for each modality, compared in a joint space."""

import jax

from jssl.methods.base import Method
from jssl.methods.frames.assemble import assemble
from jssl.methods.frames.forward import first_view, masking_keys
from jssl.models.network import as_outputs, network
from jssl.objectives.base import Objective, Outputs


def towers(model, objective: Objective, *, learned=None, visible=None, **others) -> Method:
    """Compares modalities in a joint space: loss = objective({"image": model(image), name:
    tower(views[name]), ...}).

    Args:
        model: the image's network, with an output named `image`, which goes to the loss; its encoder is what
            probes and export use.
        objective: reads `outputs.student`, one array for each modality and learned number.
        learned: modules without input by name, for learned numbers such as CLIP's logit scale.
        visible: (keys [B], images) -> [B, n], the only patches that the image's network is given in training;
            None: all patches.
        others: name=tower for every further modality: anything `network` takes, from `views[name]` to an
            output of that name (or `cls`), such as caption=a text encoder of tokens [B, L].
    Returns:
        A `Method` without a teacher. Its params are those of the image's network, with one more part for each
        other tower, so that `weighted_methods` can share the encoder.
    """
    image, others = network(model), {name: network(tower) for name, tower in others.items()}
    numbers = {name: network(module) for name, module in (learned or {}).items()}

    def init(key, views):
        params, statistics = image.init(jax.random.fold_in(key, 0), first_view(views))
        for i, (name, tower) in enumerate((others | numbers).items(), start=1):
            inputs = (views[name],) if name in others else ()
            params[name], statistics[name] = tower.init(jax.random.fold_in(key, i), *inputs)
        return params, statistics

    def forward(params, teacher, statistics, views, keys):
        own = {name: part for name, part in statistics.items() if name not in others and name not in numbers}
        image_key, *tower_keys = jax.random.split(keys.network, 1 + len(others))
        images, shown = first_view(views), {}
        if visible is not None:
            shown["visible"] = visible(masking_keys(keys.samples, views), images)
        outputs, own = image.apply(params, own, images, train=True, key=image_key, **shown)
        student, after = {"image": outputs["image"]}, dict(statistics) | own
        for tower_key, (name, tower) in zip(tower_keys, others.items(), strict=True):
            settings = dict(train=True, key=tower_key)
            outputs, after[name] = tower.apply(params[name], statistics[name], views[name], **settings)
            outputs = as_outputs(outputs)
            student[name] = outputs.get(name, outputs["cls"])
        for name, module in numbers.items():
            student[name], _ = module.apply(params[name], statistics[name])
        return Outputs(student, views=views), after

    return assemble(objective, net=image, init=init, forward=forward)
