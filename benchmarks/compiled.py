"""Kernels that an H100 would run for parts of a step, and the bytes they move, in programs compiled for one.

No GPU is needed:

    pip install "jax[cuda13]"; python -m benchmarks.compiled            # every case, a JSON line each
    python -m benchmarks.compiled --only views,block                    # those whose names have one of these
    python -m benchmarks.compiled --only views --top 9                  # with the kernels that move the most

A kernel counts as often as its loop runs, with the bytes of its operands and results: operands that it reads
in part are counted whole, and reads from caches are counted too. Matrix products have a default tiling, since
there is no autotuning.
"""

import argparse
import json
import math
import os
import re
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jax.experimental import topologies

import jssl
from benchmarks.gpu_cases import Sizes, adamw, images_of, jitter, key_shape, lars
from jssl import masks, methods, models, objectives
from jssl.arrays.kernels import vectors_together
from jssl.arrays.stacks import squares_of_layers
from jssl.arrays.trees import cast
from jssl.data import views
from jssl.models.layers.convolution import max_pool

H100 = """
gpu_device_info {
  threads_per_block_limit: 1024 threads_per_warp: 32 shared_memory_per_block: 49152
  shared_memory_per_core: 233472 shared_memory_per_block_optin: 232448 threads_per_core_limit: 2048
  core_count: 132 fpus_per_core: 128 block_dim_limit_x: 2147483647 block_dim_limit_y: 65535
  block_dim_limit_z: 65535 memory_bandwidth: 3352320000000 l2_cache_size: 52428800 clock_rate_ghz: 1.98
  device_memory_size: 84942979072 cuda_compute_capability { major: 9 minor: 0 }
  registers_per_core_limit: 65536 registers_per_block_limit: 65536
}
platform_name: "CUDA" dnn_version_info { major: 9 minor: 8 patch: 0 }
device_description_str: "NVIDIA H100 80GB HBM3"
"""
# one by one, so that they can be counted
FLAGS = "--xla_gpu_autotune_level=0 --xla_gpu_enable_command_buffer="
WIDTHS = {"pred": 1, "s8": 1, "u8": 1, "bf16": 2, "f16": 2, "s16": 2, "u16": 2}  # bytes; others: 4
WIDTHS |= {"s64": 8, "u64": 8, "f64": 8}
NO_KERNELS = "parameter tuple get-tuple-element bitcast constant after-all".split()


class Kernel(NamedTuple):
    """A kernel of a compiled program.

    Args:
        name: that XLA gave it.
        times: how often it runs.
        moved: bytes of its operands and results, of all times together.
        result: its type.
    """

    name: str
    times: int
    moved: int
    result: str


def kernels(text: str) -> list[Kernel]:
    """Lists the kernels of a program as `compiled.as_text()` writes it."""
    programs, current, entry = {}, [], ""
    for line in re.sub(r"/\*.*?\*/", "", text).splitlines():  # tuples have comments
        if head := re.match(r"(ENTRY )?%?([\w.\-]+) .*\{\s*$", line):
            current = programs.setdefault(head[2], [])
            entry = head[2] if head[1] else entry
        elif found := re.match(r"\s+(?:ROOT )?%?([\w.\-]+) = (\([^=]*?\)|\S+) ([\w\-]+)\((.*)$", line):
            current.append(found.groups())

    def walk(name: str, times: int) -> list[Kernel]:
        types = {own: kind for own, kind, _, _ in programs[name]}
        listed = []
        for own, kind, operation, rest in programs[name]:
            if operation == "while":
                trips = re.search(r'known_trip_count":\{"n":"(\d+)"', rest)
                if trips is None:
                    raise ValueError(
                        f"the loop {own} runs an unknown number of times; count its kernels by hand"
                    )
                listed += walk(re.search(r"body=%?([\w.\-]+)", rest)[1], times * int(trips[1]))
            elif operation == "call":
                listed += walk(re.search(r"to_apply=%?([\w.\-]+)", rest)[1], times)
            elif operation not in NO_KERNELS:
                read = re.findall(r"%([\w.\-]+)", rest.split("), ")[0])
                moved = size(kind) + sum(size(types.get(one, "")) for one in read)
                listed.append(Kernel(own, times, times * moved, kind))
        return listed

    return walk(entry, 1)


def size(kind: str) -> int:
    """Counts the bytes of a type, such as (f32[2,3]{1,0}, pred[])."""
    arrays = re.findall(r"\b(pred|[subf]f?\d+)\[([\d,]*)\]", kind)
    return sum(
        WIDTHS.get(name, 4) * math.prod(map(int, filter(None, sides.split(",")))) for name, sides in arrays
    )


# Cases: no arguments -> (function, shapes of its arguments).


def batch_norm():
    """A ResNet-50's first batch norm with its ReLU, forward and gradient, 512 images at 224 px."""
    norm = models.batch_norm(use_running_average=False)
    x = jax.ShapeDtypeStruct((512, 112, 112, 64), jnp.bfloat16)
    variables = jax.eval_shape(norm.init, jax.random.key(0), x)
    variables |= {"params": jax.eval_shape(lambda params: cast(params, x.dtype), variables["params"])}

    def both(variables, x, slope):
        def apply(params, x):
            y, moved = norm.apply(variables | {"params": params}, x, mutable=["batch_stats"])
            return nn.relu(y), moved

        y, pull, moved = jax.vjp(apply, variables["params"], x, has_aux=True)
        return y, moved, pull(slope)

    return both, (variables, x, x)


def max_pooling():
    """A ResNet-50's max-pooling, forward and gradient, 512 images at 224 px."""

    def both(x, slope):
        y, pull = jax.vjp(lambda x: max_pool(x, (3, 3), (2, 2), ((1, 1), (1, 1))), x)
        return y, pull(slope)

    shapes = (jax.ShapeDtypeStruct((512, side, side, 64), jnp.bfloat16) for side in (112, 56))
    return both, tuple(shapes)


def block_masks():
    """BEiT's masks of 256 images of 14 x 14 patches."""
    keys = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), 256))
    return lambda keys: masks.block_mask(keys, (14, 14), count=75), (keys,)


def update_lars():
    """The update after the gradient of MoCo v3's ViT-S/16: LARS, the teacher, the gradient's norm."""
    return _update(lars())


def update_adamw():
    """The same with AdamW."""
    return _update(adamw())


def _update(optimizer):
    method = methods.moco_v3(models.encoder("vit_s16"))

    def init(batch):
        return jssl.init_state(method, optimizer, views.simclr(size=224), batch, key=jax.random.key(0))

    def update(state, gradient):
        gradient = vectors_together(gradient)
        norm = jnp.sqrt(optax.tree.sum(squares_of_layers(gradient)))
        updates, opt_state = optimizer.update(gradient, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        return params, opt_state, method.teacher.move(state.teacher, params, state.step), norm

    state = jax.eval_shape(init, images_of(4, 224))
    return update, (state, state.params)


def simclr_views():
    """SimCLR's two views of 256 images at 224 px."""
    return views.simclr(size=224), (key_shape(), images_of(256, 256))


def color_jitter():
    """SimCLR's color distortion of 512 images at 224 px."""
    keys = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), 512))
    images = jax.ShapeDtypeStruct((512, 224, 224, 3), jnp.float32)
    return jitter(Sizes()), (keys, images)


def nt_xent():
    """NT-Xent and its gradient for two views of 8,192 images."""

    def loss(a, b):
        return jnp.mean(objectives.nt_xent(a, b, temperature=0.1))

    rows = jax.ShapeDtypeStruct((8192, 128), jnp.float32)
    return jax.value_and_grad(loss, (0, 1)), (rows, rows)


def block_xla():
    """A block of a ViT-S/16 that attends by XLA's products, forward and gradient, 512 images at 224 px."""
    return _block("xla")


def block_cudnn():
    """The same by cuDNN's kernel."""
    return _block("cudnn")


def _block(by):
    block = models.Block(heads=6, attend=partial(models.attend, by=by))
    x = jax.ShapeDtypeStruct((512, 197, 384), jnp.bfloat16)
    first = jax.ShapeDtypeStruct((1, 2, 384), jnp.float32)
    variables = jax.eval_shape(lambda x: cast(block.init(jax.random.key(0), x), jnp.bfloat16), first)

    def both(variables, x, slope):
        y, pull = jax.vjp(block.apply, variables, x)
        return y, pull(slope)

    return both, (variables, x, x)


UNTILED = {"xla_gpu_enable_triton_gemm": False}  # of a block's products, which have no default tiling
CASES: dict[str, Callable] = {
    case.__name__: case
    for case in (
        batch_norm,
        max_pooling,
        block_masks,
        update_lars,
        update_adamw,
        simclr_views,
        color_jitter,
        nt_xent,
        block_xla,
        block_cudnn,
    )
}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", help="parts of names of cases, by commas")
    parser.add_argument("--top", type=int, default=0, help="kernels to list of each case")
    options = parser.parse_args()
    jax.config.update("jax_platforms", "cpu")  # the plugin compiles without being asked for a device
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {FLAGS}".strip()

    kind = dict(platform="cuda", target_config=H100, topology="1x1x1")
    one = jax.sharding.SingleDeviceSharding(topologies.get_topology_desc(**kind).devices[0])
    for name, case in CASES.items():
        if not any(part in name for part in options.only.split(",")):
            continue
        function, shapes = case()
        shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=one), shapes)
        lowered = jax.jit(function).trace(*shapes).lower(lowering_platforms=("cuda",))
        compiled = lowered.compile(compiler_options=UNTILED if case in (block_xla, block_cudnn) else None)
        found = kernels(compiled.as_text())
        total, moved = sum(kernel.times for kernel in found), sum(kernel.moved for kernel in found)
        print(json.dumps(dict(case=name, kernels=total, gigabytes=round(moved / 1e9, 3))), flush=True)
        for kernel in sorted(found, key=lambda kernel: -kernel.moved)[: options.top]:
            print(
                f"    {kernel.moved / 1e9:8.3f} GB  x {kernel.times:<4} {kernel.name}  {kernel.result[:70]}"
            )


if __name__ == "__main__":
    main()
