"""Heads, pretext labels and the teacher's average on the authors' own numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jssl.methods.pretext import rotations
from jssl.models import dino_head
from tests.objectives.golden_numbers import load, near


def test_dino_head():
    c = load("dino_head")
    head = dino_head(len(c.in_last_v), hidden=len(c.in_b0), bottleneck=len(c.in_b2))
    with jax.enable_x64(True):
        variables = head.init(jax.random.key(0), jnp.asarray(c.in_x))
        dense = [{"kernel": vars(c)[f"in_w{i}"].T, "bias": vars(c)[f"in_b{i}"]} for i in range(3)]
        layers = sorted(variables["params"], key=lambda name: int(name.rpartition("_")[2]))
        params = dict(zip(layers, [*dense, {"kernel": c.in_last_v.T}], strict=True))
        assert jax.tree.map(jnp.shape, params) == jax.tree.map(jnp.shape, variables["params"])

        def weighted(x):
            y = head.apply({"params": params}, x)
            return jnp.sum(y.ravel() * jnp.linspace(-1, 1, y.size)), y

        (_, y), slope = jax.value_and_grad(weighted, has_aux=True)(jnp.asarray(c.in_x))
        near(y, c.out_y)
        near(slope, c.grad_x_of_weighted_sum)


def test_rotation_labels():
    c = load("rotation_labels")
    square = c.in_image_hwc[:, :5]
    images, labels = rotations(jax.random.key(0), jnp.asarray(square)[None])
    degrees = [0, 90, 180, 270]
    assert labels["rotation"].tolist() == [0, 1, 2, 3]
    for label, image in enumerate(
        images
    ):  # the square is the left of the image, which is below, right and above when turned
        turned = vars(c)[f"out_label{label}_deg{degrees[label]}"]
        expected = [turned[:, :5], turned[-5:], turned[:, -5:], turned[:5]][label]
        np.testing.assert_array_equal(image, expected)


def test_the_teachers_average():
    c = load("ema_update")
    with jax.enable_x64(True):
        teacher = {"w": jnp.asarray(c.in_teacher_w0), "b": jnp.asarray(c.in_teacher_b0)}
        for i in range(len(c.in_student_w)):
            student = {"w": c.in_student_w[i], "b": c.in_student_b[i]}
            teacher = optax.incremental_update(student, teacher, 1 - c.hp_momentum)
            near(teacher["w"], c.out_teacher_w[i])
            near(teacher["b"], c.out_teacher_b[i])
