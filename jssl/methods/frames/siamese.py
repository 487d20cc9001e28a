"""Siamese: an objective compares the outputs of one network for all views."""

from jssl.methods.base import Method
from jssl.methods.frames.assemble import assemble
from jssl.methods.frames.forward import first_view, together
from jssl.models.network import network
from jssl.objectives.base import Objective, Outputs


def nothing(params):
    """Exposes no parameters."""
    return {}


def siamese(model, objective: Objective, *, across=together, exposes=nothing, refresh=None) -> Method:
    """Compares the outputs of one network for all views: loss = objective(network(view) for every view).

    Args:
        model: anything `network` takes; its outputs reach the objective as `outputs.student`, [V, B, ...] by
            name.
        objective: compares them; gradients pass through all views.
        across: `together` or `apart`: whether views share batch statistics.
        exposes: params -> arrays by name that join `outputs.student`, for objectives that use parameters
            (prototypes).
        refresh: a `Refresh` of the objective's memory.
    Returns:
        A `Method` without a teacher.
    """
    net = network(model)

    def init(key, views):
        return net.init(key, first_view(views))

    def forward(params, teacher, statistics, views, keys):
        student, statistics = across(net, params, statistics, views, key=keys.network)
        return Outputs(student | exposes(params), views=views), statistics

    return assemble(objective, net=net, init=init, forward=forward, refresh=refresh)
