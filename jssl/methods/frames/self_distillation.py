"""Self-distillation: a student learns from a teacher that is its running mean."""

import jax
import jax.numpy as jnp

from jssl.masks import Masking, hidden_indices
from jssl.methods.base import Method, ema, everything
from jssl.methods.frames.assemble import assemble
from jssl.methods.frames.forward import all_views, first_view, global_views, hide, masking_keys, together
from jssl.methods.frames.siamese import nothing
from jssl.models.network import as_outputs, network
from jssl.objectives.base import Objective, Outputs


def self_distillation(
    model,
    objective: Objective,
    *,
    momentum,
    student_only: tuple[str, ...] = (),
    masking=None,
    student_sees=all_views,
    teacher_sees=global_views,
    across=together,
    teacher_across=None,
    beside=nothing,
    exposes=nothing,
    evaluated: str = "teacher",
    refresh=None,
) -> Method:
    """Learns from a teacher that follows the student: loss = objective(student(views), teacher(global
    views)).

    Args:
        model: anything `network` takes.
        objective: reads `outputs.student` and `outputs.target`, [V, B, ...] by name, and the mask.
        momentum: a number or a schedule, step -> m; teacher = m teacher + (1 - m) student.
        student_only: parts of the parameters that the teacher lacks, such as a predictor.
        masking: (keys [B], images [B, H, W, C], taught) -> mask [B, N], the patches of the global views that
            are hidden from the student. `taught` holds the teacher's outputs of the same images by name. With
            a `Masking`, the student's heads over tokens run on the hidden patches alone, and `outputs.places`
            has their places.
        student_sees, teacher_sees: views -> the views that the student, and the teacher, is given, such as
            `query_view` and `key_view` for MoCo.
        across: as in `siamese`.
        teacher_across: the same for the teacher; None: as `across`.
        beside: views -> further inputs of the student's network by name, [V, B, ...] for V global views, such
            as an image's tiles.
        exposes: as in `siamese`.
        evaluated: "teacher" or "student": the network whose features are evaluated and exported.
        refresh: a `Refresh` of the objective's memory.
    Returns:
        A `Method` with a teacher.
    Raises:
        ValueError: for an unknown `evaluated`.
    """
    if evaluated not in ("teacher", "student"):
        raise ValueError(f"evaluated must be 'teacher' or 'student', got {evaluated!r}")
    net = network(model)

    def without_student_only(parts):
        return {name: part for name, part in parts.items() if name not in student_only}

    follows = without_student_only if student_only else everything

    def init(key, views):
        images = first_view(views)
        hidden = {name: x[0] for name, x in beside(views).items()}
        if masking is not None:
            hidden["mask"] = masking(masking_keys(key, views), images, _untaught(net, key, images))
        params, statistics = net.init(key, images, **hidden)
        return params, {"student": statistics, "teacher": follows(statistics)}

    def forward(params, teacher, statistics, views, keys):
        taught, teacher_statistics = (teacher_across or across)(
            net, teacher, statistics["teacher"], teacher_sees(views)
        )
        seen = student_sees(views)
        hidden = {}
        if masking is not None:
            hidden["mask"] = hide(masking, masking_keys(keys.samples, views), seen["global"], taught)
        if isinstance(masking, Masking) and net.heads is not None:
            hidden["places"] = hidden_indices(hidden["mask"], masking.most(hidden["mask"].shape[-1]))
        student, student_statistics = across(
            net, params, statistics["student"], seen, key=keys.network, **hidden, **beside(views)
        )
        outputs = Outputs(student | exposes(params), taught | exposes(teacher), views=views, **hidden)
        return outputs, {"student": student_statistics, "teacher": teacher_statistics}

    def chosen(params, teacher, statistics):
        return {"teacher": teacher, "student": params}[evaluated], statistics[evaluated]

    return assemble(
        objective,
        net=net,
        init=init,
        forward=forward,
        evaluated=chosen,
        teacher=ema(momentum, follows),
        refresh=refresh,
    )


def _untaught(net, key, images):
    """Zeros in the shapes of a teacher's outputs, for a first mask of which only the shape matters."""
    shapes = jax.eval_shape(lambda: as_outputs(net.apply(*net.init(key, images), images)[0]))
    return jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
