"""What a run is said to take: operations, counted without compiling; and that it is not started."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jssl.experiments import DINOv2

from jssl import methods, models
from jssl.arrays.jaxprs import matrix_flops
from jssl.data import from_arrays
from jssl.run import DataInfo, Options, main
from jssl.run.directory.record import Record
from jssl.run.plan import plan, step_of
from tests.run import tiny


def products(closed):
    return matrix_flops(closed.jaxpr)


def counted(function, *shapes):
    return products(jax.make_jaxpr(function)(*(jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes)))


def test_products_loops_branches_and_convolutions():
    assert counted(lambda x, y: x @ y, (3, 4), (4, 5)) == 2 * 3 * 4 * 5
    assert counted(lambda x: jnp.einsum("bij,bkj->bik", x, x), (2, 3, 4)) == 2 * 2 * 3 * 3 * 4
    assert counted(lambda x: jax.lax.fori_loop(0, 7, lambda i, y: y @ x, x), (4, 4)) == 7 * 128
    assert counted(lambda x: jax.lax.cond(x[0, 0] > 0, lambda: x @ x, lambda: x), (4, 4)) == 128
    kernel = dict(window_strides=(1, 1), padding="SAME")
    convolved = partial(jax.lax.conv_general_dilated, **kernel, dimension_numbers=("NHWC", "HWIO", "NHWC"))
    assert counted(convolved, (1, 8, 8, 3), (3, 3, 3, 5)) == 2 * 64 * 5 * 27


def test_the_compiler_counts_the_same():
    head = models.dino_head(1024, hidden=256, bottleneck=128)
    x = jnp.ones((64, 96))
    params = head.init(jax.random.key(0), x)
    gradient = jax.grad(lambda params: jnp.square(head.apply(params, x)).sum())
    said = jax.jit(gradient).lower(params).compile().cost_analysis()["flops"]
    assert products(jax.make_jaxpr(gradient)(params)) == pytest.approx(said, rel=0.15)


def test_dinov2_takes_what_its_modules_need():
    """ViT-S/14, 2 x 224 + 8 x 98, 65,536 prototypes: the loss and its gradient in at most 1.1 times the
    operations of blocks, and of heads on images and on the patches that are hidden."""
    prototypes, batch, dim, depth = 65_536, 4, 384, 12
    vit = models.ViT(patch=14, dim=dim, depth=depth, heads=6, registers=4)
    method = methods.dinov2(vit, prototypes=prototypes, patch_prototypes=prototypes)
    sizes = {"global": (2, batch, 224, 224, 3), "local": (8, batch, 98, 98, 3)}
    views = {name: jax.ShapeDtypeStruct(shape, jnp.bfloat16) for name, shape in sizes.items()}
    views["index"] = jax.ShapeDtypeStruct((batch,), jnp.int32)
    key = jax.eval_shape(lambda: jax.random.key(0))
    params, memory = jax.eval_shape(method.init, key, views)
    gradient = jax.value_and_grad(method.loss, has_aux=True)
    traced = jax.make_jaxpr(gradient)(params, params, memory, views, key, jax.ShapeDtypeStruct((), jnp.int32))

    def blocks(patches):
        tokens = patches + 1 + 4
        return depth * (2 * 12 * dim**2 * tokens + 2 * 2 * dim * tokens**2)

    def head(rows):
        widths = (dim, 2048, 2048, 256, prototypes)
        return rows * sum(2 * a * b for a, b in zip(widths, widths[1:], strict=False))

    stem, hidden = 2 * 14 * 14 * 3 * dim, 0.3 * 256  # one view of two hides 0.1 to 0.5 of its patches
    teacher = 2 * (256 * stem + blocks(256)) + head(2 + hidden)
    student = 2 * (256 * stem * 2 + blocks(256) * 3) + 8 * (49 * stem * 2 + blocks(49) * 3)
    needed = batch * (teacher + student + 3 * head(2 + 8 + hidden))
    assert needed < products(traced) <= 1.1 * needed


@pytest.mark.parametrize("platform, dtype", [("cpu", "float32"), ("gpu", "bfloat16"), ("tpu", "bfloat16")])
def test_accelerators_compute_in_bfloat16_unless_told_otherwise(platform, dtype, monkeypatch, tmp_path):
    monkeypatch.setattr(jax, "default_backend", lambda: platform)
    planned = plan(tiny.Tiny(data="bare"), Options(out=str(tmp_path)))
    assert planned.options.dtype == planned.config["numbers"]["dtype"] == dtype
    assert planned.budget.endswith(f"; in {dtype}")
    seen = str(jax.make_jaxpr(step_of(planned))(planned.state, DataInfo(**planned.config["data"]).batch(8)))
    assert ("bf16" in seen) == (dtype == "bfloat16")
    for given in ("float32", "bfloat16"):
        assert plan(tiny.Tiny(data="bare"), Options(dtype=given)).options.dtype == given


def test_a_run_goes_on_in_what_it_began_with(monkeypatch, tmp_path):
    settings, out = tiny.Tiny(data="bare"), str(tmp_path / "run")
    Record(out, plan(settings, Options(out=out)).config).close()
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert plan(settings, Options(out=out)).options.dtype == "float32"
    with pytest.raises(ValueError, match="dtype is float32 there, bfloat16 here"):
        plan(settings, Options(out=out, dtype="bfloat16"))


def test_vit_l_with_65536_prototypes_fits_80_gib_without_blocks_over_them(tmp_path):
    """A batch of 64, whose views hide up to 128 patches of each image: the plan has room for the logits of
    both networks and for the gradient, in float32, and all of it is far from 80 GiB."""
    prototypes, batch, hidden = 65_536, 64, 128
    settings = DINOv2(
        data=from_arrays(np.zeros((batch, 224, 224, 3), np.uint8)),
        batch=batch,
        koleo_group=16,
        steps=10,
        prototypes=prototypes,
        patch_prototypes=prototypes,
        scan=True,
        remat="blocks",
    )
    planned = plan(settings, Options(out=str(tmp_path / "run"), dtype="bfloat16"))
    logits = batch * hidden * prototypes * 4
    assert 3 * logits < planned.needs["activations"] < 8 * logits
    assert 4 * planned.needs["parameters"] < sum(planned.needs.values()) < 30 * 2**30


def test_a_plan_is_printed_and_nothing_is_started(tmp_path, capsys):
    main(tiny.demo, ["--plan", "--out", str(tmp_path / "run")])
    steps, data, memory, operations = capsys.readouterr().out.splitlines()
    assert steps.startswith("12 steps of 8 images") and steps.endswith("; in float32")
    assert data.startswith("colored: 48 images")
    assert "per device" in memory and operations.startswith("matrix products of")
    assert not (tmp_path / "run").exists()
