"""How fast jssl trains on one accelerator, beside torch on the same one: a JSON line per case, as soon as it
is measured.

    python -m benchmarks.gpu --seconds 450                 # needs no more than `pip install jssl`
    python -m benchmarks.gpu --only vit_ --seconds 200    # the cases whose names have one of these, by commas
    python -m benchmarks.gpu --tiny                        # the logic alone, in miniature, on a CPU

Groups of cases run in processes of their own, so that a crash or a full memory costs one case. The programs
of a group are compiled side by side, its cases are then timed one by one. docs/gpu.md says what the figures
are.
"""

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

import jssl
from benchmarks import timing, torch_rival
from benchmarks.timing import Case
from jssl import data, methods, models, objectives, optim
from jssl.data import views

STEPS_OF_AN_EPOCH = 97  # CIFAR-10 at a batch of 512


class Sizes(NamedTuple):
    """What is measured: the papers' sizes by default, or the miniature of them that a CPU does in seconds."""

    vit_s: str = "vit_s16"
    vit_b: str = "vit_b16"
    vit_l: str = "vit_l16"
    resnet: str = "resnet50"
    cifar: str = "resnet18_cifar"
    side: int = 224
    canvas: int = 256
    local: int = 96
    locals: int = 8
    prototypes: int = 65536
    hidden: int = 2048
    decoder: dict = {}
    rows: int = 16384
    samples: int = 50_000
    steps: int = STEPS_OF_AN_EPOCH
    largest_batch: int = 2**20
    seconds: float = 2.5
    least: int = 4

    def batch(self, size: int) -> int:
        return min(size, self.largest_batch)


TINY = Sizes(
    **dict.fromkeys(("vit_s", "vit_b", "vit_l"), "vit_n8"),
    **dict.fromkeys(("resnet", "cifar"), "resnet10x0.25"),
    side=32,
    canvas=36,
    local=16,
    locals=2,
    prototypes=64,
    hidden=32,
    decoder=dict(dim=32, depth=1, heads=2),
    rows=64,
    samples=96,
    steps=2,
    largest_batch=4,
    seconds=0.2,
    least=1,
)


# What is trained: functions of the sizes.


def simclr(name, **fields):
    def make(sizes):
        encoder = models.encoder(getattr(sizes, name), **fields)
        return methods.simclr(encoder, head=models.simclr_head(128, hidden=sizes.hidden))

    return make


def mae(name, **fields):
    def make(sizes):
        start = dict(positions=models.sincos_positions, kernel_init=models.xavier)
        encoder = models.encoder(getattr(sizes, name), **start, **fields)
        return methods.mae(encoder, decoder=models.mae_decoder(encoder.patch, **sizes.decoder))

    return make


def dino(sizes):
    head = partial(models.dino_head, hidden=sizes.hidden)
    encoder = models.encoder(sizes.vit_s, drop_path=0.1)
    momentum = optim.teacher_momentum(0.996, 1000)
    return methods.dino(encoder, prototypes=sizes.prototypes, head=head, momentum=momentum)


def lars():
    return optim.lars(optim.warmup_cosine(1.0, steps=1000, warmup=10))


def adamw():
    return optim.adamw(optim.warmup_cosine(1e-3, steps=1000, warmup=10))


def dino_adamw():
    rate, decay = optim.warmup_cosine(1e-3, steps=1000, warmup=10), optim.cosine(0.04, 0.4, 1000)
    return optax.chain(
        optim.clip_by_parameter_norm(3.0),
        optim.adamw(rate, weight_decay=decay),
        optim.freeze_during(10, lambda path: path[0] == "cls" and path[1] == "layers_6"),
    )


def simclr_views(sizes):
    return views.simclr(size=sizes.side)


def small_views(sizes):
    return views.simclr(size=32)


def mae_views(sizes):
    return views.mae(size=sizes.side)


def dino_views(sizes):
    return views.dino(size=sizes.side, local_size=sizes.local, locals=sizes.locals)


def by_xla(make):
    """The same with XLA's products for attention, where it would be cuDNN's."""
    return lambda sizes: make(attend=partial(models.attend, by="xla"))(sizes)


# Cases: functions of the sizes that return a `Case`.


def images_of(size, side):
    return {
        "image": jax.ShapeDtypeStruct((size, side, side, 3), jnp.uint8),
        "index": jax.ShapeDtypeStruct((size,), jnp.int32),
    }


def key_shape():
    return jax.eval_shape(lambda: jax.random.key(0))


def state_of(method, optimizer, views, batch):
    def init(batch):
        return jssl.init_state(method, optimizer, views, batch, key=jax.random.key(0))

    return jax.eval_shape(init, batch)


def training(make_method, make_optimizer, make_views, size, *, model_alone=False, dtype=jnp.bfloat16):
    """One step of training; `model_alone`: on views that are made already."""

    def build(sizes):
        method, optimizer, views = make_method(sizes), make_optimizer(), make_views(sizes)
        batch = images_of(sizes.batch(size), sizes.canvas)
        if model_alone:
            made, views = views, lambda key, batch: batch
            batch = jax.eval_shape(lambda batch: made(jax.random.key(0), batch), batch)
        step = jssl.train_step(method, optimizer, views, dtype=dtype)
        shapes = state_of(method, optimizer, views, batch), batch
        return Case(step, shapes, sizes.batch(size), trains=True)

    return build


def epoch(*, scanned):
    """SimCLR on CIFAR over data on the device: an epoch as one compiled call, or one of its steps."""

    def build(sizes):
        method, optimizer, views = simclr("cifar")(sizes), lars(), small_views(sizes)
        batch = sizes.batch(512)
        step = jssl.train_step(method, optimizer, views, dtype=jnp.bfloat16)
        state = state_of(method, optimizer, views, images_of(batch, 32))
        resident = {"image": jax.ShapeDtypeStruct((sizes.samples, 32, 32, 3), jnp.uint8)}

        def step_on(state, resident):
            places = data.batch_indices(0, state.step, n=sizes.samples, batch=batch)
            return step(state, data.take(resident, places))

        def run(
            state, resident
        ):  # `jssl.scanned` with a fixed number of steps, so that its work can be counted
            metrics = jax.tree.map(
                lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(step_on, state, resident)[1]
            )
            body = lambda _, carry: step_on(carry[0], resident)  # noqa: E731
            return jax.lax.fori_loop(0, sizes.steps, body, (state, metrics))

        function, count = (run, sizes.steps) if scanned else (step_on, 1)
        return Case(function, (state, resident), batch * count, trains=True)

    return build


def making_views(make_views, size):
    """The views of a batch, without a step."""

    def build(sizes):
        batch = images_of(sizes.batch(size), sizes.canvas)
        return Case(make_views(sizes), (key_shape(), batch), sizes.batch(size))

    return build


def augmentation(make, size, *, raw=False):
    """One augmentation, on as many images as two views of a batch have; `raw`: on images as they are
    stored.
    """

    def build(sizes):
        apply, count = make(sizes), 2 * sizes.batch(size)
        side, dtype = (sizes.canvas, jnp.uint8) if raw else (sizes.side, jnp.float32)

        def run(key, images):
            return apply(data.sample_keys(key, jnp.arange(count)), images)

        images = jax.ShapeDtypeStruct((count, side, side, 3), dtype)
        return Case(run, (key_shape(), images), sizes.batch(size))

    return build


def crop(sizes):
    return data.random_resized_crop(size=sizes.side, method="bicubic")


def jitter(sizes):
    return data.color_jitter(brightness=0.8, contrast=0.8, saturation=0.8, hue=0.2)


def blur(sizes):
    return data.gaussian_blur(sigma=(0.1, 2.0), kernel=23)


def contrast(factor, block):
    """NT-Xent's value and gradient for two views of `factor` times `sizes.rows` rows, 128 wide."""

    def build(sizes):
        rows = jax.ShapeDtypeStruct((sizes.rows * factor, 128), jnp.float32)
        block_size = None if block is None else min(block, sizes.rows // 2)

        def loss(a, b):
            return jnp.mean(objectives.nt_xent(a, b, temperature=0.1, block_size=block_size))

        return Case(jax.value_and_grad(loss, argnums=(0, 1)), (rows, rows), rows.shape[0])

    return build


vit_s_simclr = partial(training, simclr("vit_s"), lars, simclr_views)
vit_s_dino = partial(training, dino, dino_adamw, dino_views, 128)

GROUPS = {  # the most telling first; None: not a case of jssl's
    "simclr": {
        "ceilings": None,
        "vit_s16_simclr_256": vit_s_simclr(256),
        "vit_s16_simclr_256_model_alone": vit_s_simclr(256, model_alone=True),
        "views_simclr_256": making_views(simclr_views, 256),
        "vit_s16_simclr_256_model_alone_xla": training(
            by_xla(partial(simclr, "vit_s")), lars, simclr_views, 256, model_alone=True
        ),
        "vit_s16_simclr_512": vit_s_simclr(512),
        "crop_2x256": augmentation(crop, 256, raw=True),
        "jitter_2x256": augmentation(jitter, 256),
        "blur_2x256": augmentation(blur, 256),
    },
    "torch": {"torch_vit_s16_simclr_256": None},
    "others": {
        "resnet18_cifar_512_epoch": epoch(scanned=True),
        "dino_vit_s16_128": vit_s_dino(),
        "mae_vit_b16_256": training(mae("vit_b"), adamw, mae_views, 256),
        "resnet50_simclr_256": training(simclr("resnet"), lars, simclr_views, 256),
        "nt_xent_32768_rows_dense": contrast(1, None),
        "nt_xent_32768_rows_blocks": contrast(1, 1024),
        "resnet18_cifar_512_one_by_one": epoch(scanned=False),
        "mae_vit_l16_256": training(mae("vit_l"), adamw, mae_views, 256),
        "nt_xent_65536_rows_blocks": contrast(2, 1024),
        "views_dino_128": making_views(dino_views, 128),
    },
    "variants": {
        "vit_s16_simclr_256_scan": training(simclr("vit_s", scan=True), lars, simclr_views, 256),
        "vit_s16_simclr_256_float32": vit_s_simclr(256, dtype=None),
        "mae_vit_b16_256_xla": training(by_xla(partial(mae, "vit_b")), adamw, mae_views, 256),
        "dino_vit_s16_128_model_alone": vit_s_dino(model_alone=True),
    },
}


# A group: runs in a process of its own.


def measure_group(group: str, names: list[str], sizes: Sizes, *, ends: float, compiling: int = 6):
    """Measures the named cases of a group, saying a line for each.

    Args:
        group: one of `GROUPS`.
        names: of its cases.
        sizes: what is measured.
        ends: the time, by `time.monotonic`, after which no case is compiled.
        compiling: how many programs are compiled side by side.
    """
    if group == "torch":
        fields = dict(batch=sizes.batch(256), side=sizes.side, canvas=sizes.canvas, hidden=sizes.hidden)
        limits = dict(seconds=sizes.seconds, least=sizes.least)
        try:
            return torch_rival.measure(say, **fields, **limits, tiny=sizes is TINY)
        except ImportError as error:
            return say(case=names[0], error=short(error))
    if "ceilings" in names:
        side, words = (256, 2**16) if sizes is TINY else (8192, 2**30)
        attempt("ceilings", lambda: timing.ceilings(side=side, words=words))
    names = [name for name in names if name != "ceilings"]
    with ThreadPoolExecutor(compiling) as pool:
        for some in (names[i : i + 5] for i in range(0, len(names), 5)):
            measure_some({name: GROUPS[group][name] for name in some}, sizes, pool, ends=ends)


def measure_some(cases: dict, sizes: Sizes, pool: ThreadPoolExecutor, *, ends: float):
    """Compiles a few cases side by side; times them one by one when all are compiled."""
    ready = {}
    for name, build in cases.items():
        try:
            if time.monotonic() > ends:
                raise TimeoutError("no time left")
            ready[name] = timing.compiled(build(sizes), pool)
        except Exception as error:
            say(case=name, error=short(error))
    for compiled in ready.values():
        compiled.program.exception()
    for name, compiled in ready.items():
        attempt(name, lambda: figures_of(name, compiled, sizes))  # noqa: B023  (called at once)


def figures_of(name, compiled, sizes):
    figures = timing.measured(compiled, seconds=sizes.seconds, least=sizes.least)
    if name.startswith("resnet18_cifar"):
        figures["minutes_for_200_epochs"] = round(200 * sizes.samples / figures["images_per_s"] / 60, 2)
    return figures


def attempt(case, measure):
    try:
        say(case=case, **measure())
    except Exception as error:  # the next case is measured all the same
        say(case=case, error=short(error))


def say(**figures):
    print(json.dumps(figures), flush=True)


def short(error):
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


# The parent: starts the groups and shares out the time.


def run_groups(wanted: list[str], options):
    """Runs all groups, each in a process; after a crash, what is left of a group in another one."""
    ends = time.monotonic() + options.seconds
    for group, cases in GROUPS.items():
        names = [name for name in cases if not wanted or any(part in name for part in wanted)]
        while names and ends - time.monotonic() > options.least:
            done, code = run_group(group, names, ends - time.monotonic(), options)
            if code == 0:
                break
            at = sum(name in done for name in names)  # the case under way when the process died
            say(case=names[at] if at < len(names) else group, error=f"process ended with code {code}")
            names = names[at + 1 :]
        else:
            for name in names:
                say(case=name, skipped="no time left")


def run_group(group, names, seconds, options) -> tuple[set[str], int]:
    """Runs cases in a process of their own, passing its lines on; returns the cases that gave a line, and its
    code.
    """
    command = [sys.executable, "-m", "benchmarks.gpu", "--child", group, "--only", ",".join(names)]
    command += ["--seconds", str(seconds)] + ["--tiny"] * options.tiny
    errors = None if options.verbose else subprocess.DEVNULL
    pipes = dict(stdout=subprocess.PIPE, stderr=errors, text=True)
    child = subprocess.Popen(command, env=surroundings(options.tiny), **pipes)
    stop = threading.Timer(seconds + 15, child.kill)
    stop.daemon = True
    stop.start()
    done = set()
    for line in child.stdout:
        if line.startswith("{"):
            print(line, end="", flush=True)
            done.add(json.loads(line).get("case"))
    code = child.wait()
    stop.cancel()
    return done, code


def surroundings(tiny) -> dict[str, str]:
    """The environment of a group: nearly all of the device's memory, and programs kept for the next time."""
    kept = {"JAX_COMPILATION_CACHE_DIR": str(Path.home() / ".cache" / "jssl" / "xla")}
    defaults = {"XLA_PYTHON_CLIENT_MEM_FRACTION": "0.92", "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.5"}
    return (kept | defaults | os.environ) if not tiny else os.environ | {"JAX_PLATFORMS": "cpu"}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=450, help="what all cases may take together")
    parser.add_argument("--least", type=float, help="seconds left under which no group is started (30)")
    parser.add_argument("--only", default="", help="parts of names of cases, by commas")
    parser.add_argument("--tiny", action="store_true", help="miniatures, on the CPU")
    parser.add_argument("--verbose", action="store_true", help="the groups' error output too")
    parser.add_argument("--child", choices=GROUPS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.least is None:
        options.least = 0 if options.tiny else 30
    wanted = [part for part in options.only.split(",") if part]
    began = time.monotonic()
    if options.child is None:
        run_groups(wanted, options)
        return say(case="end", seconds=round(time.monotonic() - began, 1))
    sizes = TINY if options.tiny else Sizes()
    ends = began + options.seconds - (0 if options.tiny else 25)
    measure_group(options.child, wanted, sizes, ends=ends, compiling=1 if options.tiny else 6)


if __name__ == "__main__":
    main()
