"""Makes a method from a forward pass and an objective; all frames use this."""

from jssl.methods.base import Method, Teacher
from jssl.methods.frames.forward import exact, keys_of
from jssl.methods.frames.parts import in_parts
from jssl.models.network import Network
from jssl.objectives.base import Objective


def student(params, teacher, statistics):
    """Selects the parameters and all statistics, of a method with one network."""
    return params, statistics


def assemble(
    objective: Objective,
    *,
    net: Network,
    init,
    forward,
    evaluated=student,
    teacher: Teacher | None = None,
    refresh=None,
) -> Method:
    """Makes a `Method` of a forward pass and an objective.

    Args:
        objective: computes the loss of the outputs; its memory is kept beside the batch statistics.
        net: the network that is evaluated and exported.
        init: (key, views) -> (params, statistics).
        forward: (params, teacher, statistics, views, `Keys`) -> (Outputs, statistics).
        evaluated: (params, teacher, statistics) -> (params, statistics) with which `net` is evaluated.
        teacher: the teacher's rule; None without a teacher.
        refresh: a `Refresh` of the objective's memory.
    Returns:
        A `Method` with memory {"statistics": ..., "objective": ...}.
    """

    def init_all(key, views):
        params, statistics = init(key, views)
        outputs, _ = forward(params, teacher and teacher.init(params), statistics, views, keys_of(key))
        return params, {"statistics": statistics, "objective": objective.init(outputs)}

    def loss(params, teacher, memory, views, key, step, parts=1):
        run = forward if parts == 1 else in_parts(forward, parts)
        outputs, statistics = run(params, teacher, memory["statistics"], views, keys_of(key))
        outputs = outputs._replace(views=exact(views))
        value, remembered, metrics = objective.apply(memory["objective"], outputs, step)
        return value, ({"statistics": statistics, "objective": remembered}, metrics)

    def features(params, teacher, memory, images):
        return net.features(*evaluated(params, teacher, memory["statistics"]), images)

    def encoder(params, teacher, memory):
        chosen, statistics = net.encoder(*evaluated(params, teacher, memory["statistics"]))
        return {"params": chosen, **statistics}

    def outputs_of(params, teacher, memory, views, key):
        return forward(params, teacher, memory["statistics"], views, keys_of(key))[0]

    def refresh_all(key, memory):
        return memory | {"objective": refresh.call(key, memory["objective"])}

    return Method(
        init=init_all,
        loss=loss,
        features=features,
        encoder=encoder,
        outputs=outputs_of,
        teacher=teacher,
        refresh=refresh and refresh._replace(call=refresh_all),
    )
