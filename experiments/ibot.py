"""iBOT: DINO on the class token, and the same distillation on hidden patches.  arXiv:2111.07832

    python -m experiments.ibot --demo                                       # a few minutes on a CPU
    python -m experiments.ibot --data tfds:imagenet2012 --out gs://bucket/ibot          # on a pod

The paper: ViT-S/16, batch 1024, 2 x 224 + 10 x 96, ImageNet, 800 epochs: k-NN 75.2 %, linear 77.9 %.
"""

from functools import partial

import optax

from jssl.experiment import Experiment, Training, main, recipe
from jssl.methods import ibot
from jssl.models import batch_norm, dino_head
from jssl.optim import adamw, clip_by_parameter_norm, cosine, freeze_during, linear, teacher_momentum


@recipe(encoder="vit_s16", batch=1024, steps=1_000_000, warmup=0.0125, learning_rate=2e-3, weight_decay=0.04, views="ibot")
def experiment(
    training: Training,
    *,
    prototypes: int = 8192,
    shared_head: bool = True,
    hidden: int = 2048,
    bottleneck: int = 256,
    head_norm: bool = False,
    locals: int = 10,
    momentum: float = 0.996,
    final_weight_decay: float = 0.4,
    frozen: float = 0.00125,
    patch_weight: float = 1.0,
    teacher_temperature: float = 0.07,
    temperature_warmup: float = 0.0375,
) -> Experiment:
    """iBOT as an experiment.

    prototypes: outputs of the head.
    shared_head: one head for class token and patches.
    hidden: width of the head's hidden layers.
    bottleneck: width before the last layer.
    head_norm: batch norm in the head.
    locals: small views of each image.
    momentum: of the teacher at the start; it rises to 1.
    final_weight_decay: to which the weight decay rises.
    frozen: share of the run in which the last layer stands still.
    patch_weight: of the patches' term.
    teacher_temperature: of the teacher, after rising from 0.04.
    temperature_warmup: share of the run in which it rises.
    """
    network = training.network(hides="mask", drop_path=0.1)
    head = partial(dino_head, hidden=hidden, bottleneck=bottleneck, norm=batch_norm if head_norm else None)
    temperature = linear(0.04, teacher_temperature, max(1, training.share(temperature_warmup)))
    method = ibot(
        network,
        prototypes=prototypes,
        head=head,
        shared_head=shared_head,
        patch_weight=patch_weight,
        momentum=teacher_momentum(momentum, training.steps),
        teacher_temperature=temperature,
        patch_temperature=temperature,
    )
    decay = cosine(training.weight_decay, final_weight_decay, training.steps)
    last_layer = freeze_during(training.share(frozen), lambda path: head(prototypes).last in path)
    optimizer = optax.chain(clip_by_parameter_norm(3.0), adamw(training.rate(), weight_decay=decay), last_layer)
    crops = training.view_recipe(locals=locals)
    return training.experiment(method, optimizer=optimizer, views=crops, network=network)


demo = dict(
    encoder="vit_n4", data="scenes:color", size=24, views="crops", batch=64,
    steps=350, warmup=0.1, learning_rate=2e-3, prototypes=512, locals=0, momentum=0.99, temperature_warmup=0.0,
    patch_weight=0.3, frozen=0.05, hidden=256, bottleneck=64, head_norm=True,
)  # fmt: skip

if __name__ == "__main__":
    main(experiment, demo)
