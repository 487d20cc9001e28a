"""What `benchmarks.gpu` measures: cases by name, each a function of the sizes that returns a `Case`."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

import jssl
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

        # `jssl.scanned` with a fixed number of steps, so that its work can be counted
        def run(state, resident):
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
