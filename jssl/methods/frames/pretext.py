"""Pretext: a transform of the image makes the label."""

import jax

from jssl.arrays.trees import cast
from jssl.methods.base import Method
from jssl.methods.frames.assemble import assemble
from jssl.methods.frames.forward import exact, first_view, masking_keys
from jssl.models.network import as_outputs, network
from jssl.objectives.base import Objective, Outputs


def pretext(model, objective: Objective, *, transform) -> Method:
    """Predicts a label that a transform makes: loss = objective(network(inputs), labels).

    Args:
        model: anything `network` takes; its outputs reach the objective as `outputs.student`, [B', ...] by
            name.
        objective: reads the labels as `outputs.target`.
        transform: (keys [B], images [B, H, W, C]) -> (inputs [B', ...] or a pytree of them, labels by name),
            with one key for each sample, folded with its index.
    Returns:
        A `Method` without a teacher, whose `task` gives the objective's metrics.
    """
    net = network(model)

    def init(key, views):
        return net.init(key, transform(masking_keys(key, views), first_view(views))[0])

    def forward(params, teacher, statistics, views, keys):
        inputs, labels = transform(masking_keys(keys.samples, views), first_view(exact(views)))
        inputs = cast(inputs, first_view(views).dtype)
        student, statistics = net.apply(params, statistics, inputs, train=True, key=keys.network)
        return Outputs(as_outputs(student), labels, views=views), statistics

    def task(params, teacher, memory, images, index):
        views = {"global": images[None], "index": index}
        inputs, labels = transform(masking_keys(jax.random.key(0), views), images)
        student, _ = net.apply(params, memory["statistics"], inputs)
        outputs = Outputs(as_outputs(student), labels, views=views)
        return objective.apply(memory["objective"], outputs, 0)[2]

    return assemble(objective, net=net, init=init, forward=forward)._replace(task=task)
