"""The communication between devices: the collectives of a compiled step on 1, 2, 4 and 8 devices.

    python -m benchmarks.scaling

Weak scaling holds where a step on more devices adds nothing but the sums of gradients and what a loss needs
of the whole batch: batch statistics, SimCLR's embeddings of the other devices, DINO's center. No accelerator
is needed: devices are simulated, and the collectives are those of the compiled program, where a sum of many
arrays counts once.
"""

import collections
import math
import os
import re
from functools import partial

DEVICES = (1, 2, 4, 8)
COLLECTIVES = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute")
WIDTHS = {"pred": 1, "s8": 1, "u8": 1, "bf16": 2, "f16": 2, "s32": 4, "u32": 4, "f32": 4, "s64": 8, "f64": 8}


def collectives(hlo: str) -> list[tuple[str, int, str]]:
    """(kind, bytes of its results on one device, what made it) of every collective of a compiled program.

    >>> collectives('%a = f32[2,3]{1,0} all-reduce(%b), metadata={op_name="jit(step)/sum"}')
    [('all-reduce', 24, 'jit(step)/sum')]
    """
    found = []
    pattern = rf"= (.*?) ({'|'.join(COLLECTIVES)})(?:-start)?\("
    for line in hlo.splitlines():
        if match := re.search(pattern, line):
            arrays = re.findall(r"(\w+)\[([\d,]*)\]", match[1])
            size = sum(
                WIDTHS[kind] * math.prod(int(d) for d in shape.split(",") if d) for kind, shape in arrays
            )
            origin = re.search(r'op_name="([^"]*)"', line)
            found.append((match[2], size, origin[1] if origin else ""))
    return found


def purpose(origin: str) -> str:
    """Tells the purpose of a collective from the operation that it was made of.

    >>> purpose("jit(step)/transpose(jvp(ViT))/blocks/dot_general"), purpose("jit(step)/jvp()/sum")
    ('gradients', 'loss and batch terms')
    """
    return "gradients" if "transpose" in origin else "loss and batch terms"


def systems():
    """name -> (method, views)."""
    from jssl import methods, models, views

    network = models.ViT(patch=4, dim=64, depth=2, heads=2)
    head = partial(models.dino_head, hidden=128, bottleneck=32)
    return {
        "simclr": (methods.simclr(network, head=models.simclr_head(64, hidden=128)), views.simclr(size=16)),
        "dino": (methods.dino(network, prototypes=256, head=head), views.dino(size=16, locals=2)),
    }


def main():
    os.environ["JAX_PLATFORMS"] = "cpu"
    os.environ["XLA_FLAGS"] = (
        f"--xla_force_host_platform_device_count={max(DEVICES)} --xla_backend_optimization_level=0"
    )
    import jax
    import optax

    from jssl import init_state, train_step
    from jssl.sharding import make_mesh, over_batch, replicated

    for name, (method, make_views) in systems().items():
        optimizer, per_device, alone = optax.adamw(1e-3), 8, 1.0
        for count in DEVICES:
            mesh, batch = make_mesh(f"data={count}"), per_device * count
            shapes = {
                "image": jax.ShapeDtypeStruct((batch, 16, 16, 3), "uint8", sharding=over_batch(mesh)),
                "index": jax.ShapeDtypeStruct((batch,), "int32", sharding=over_batch(mesh)),
            }
            state = jax.eval_shape(
                partial(init_state, method, optimizer, make_views, key=jax.random.key(0)), shapes
            )
            size = sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(state.params))
            everywhere = replicated(mesh)
            step = jax.jit(
                train_step(method, optimizer, make_views),
                in_shardings=(everywhere, over_batch(mesh)),
                out_shardings=everywhere,
            )
            compiled = step.lower(state, shapes).compile()
            found, work = collectives(compiled.as_text()), compiled.cost_analysis()["flops"]
            alone = work if count == 1 else alone
            table = collections.defaultdict(lambda: [0, 0])
            for kind, moved, origin in found:
                entry = table[kind, purpose(origin)]
                entry[0], entry[1] = entry[0] + 1, entry[1] + moved
            print(
                f"{name}, {count} devices, batch {batch}, parameters {size:,} bytes: {len(found)} "
                f"collectives; work of a device {work / alone:.2f} times that of one alone"
            )
            for (kind, why), (number, moved) in sorted(table.items()):
                print(f"    {kind:20s} {why:22s} {number:4d} of {moved:12,} bytes in all")


if __name__ == "__main__":
    main()
