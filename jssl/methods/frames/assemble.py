"""What all frames share: a way to make outputs, and an objective that judges them, are a method."""

from jssl.methods.base import Method, everything
from jssl.objectives.base import Objective


def assemble(
    objective: Objective, *, init, forward, features, momentum=None, follows=everything, refresh=None
) -> Method:
    """A `Method` of a forward pass and an objective.

    init:     (key, views) -> (params, statistics)
    forward:  (params, teacher, statistics, views, key) -> (Outputs, statistics)
    features: (params, teacher, statistics, images) -> Features
    momentum: a number or a schedule for the teacher, None: no teacher; follows: params -> the part it follows.
    refresh:  (key, objective's memory) -> memory, between epochs.
    """

    def init_all(key, views):
        params, statistics = init(key, views)
        outputs, _ = forward(params, follows(params), statistics, views, key)
        return params, {"statistics": statistics, "objective": objective.init(outputs)}

    def loss(params, teacher, memory, views, key, step):
        outputs, statistics = forward(params, teacher, memory["statistics"], views, key)
        value, remembered, metrics = objective.apply(memory["objective"], outputs, step)
        return value, ({"statistics": statistics, "objective": remembered}, metrics)

    def features_of(params, teacher, memory, images):
        return features(params, teacher, memory["statistics"], images)

    def outputs_of(params, teacher, memory, views, key):
        return forward(params, teacher, memory["statistics"], views, key)[0]

    def refresh_all(key, memory):
        return memory | {"objective": refresh(key, memory["objective"])}

    moves = momentum if momentum is None or callable(momentum) else lambda step: momentum
    return Method(init_all, loss, features_of, outputs_of, moves, follows, refresh and refresh_all)
