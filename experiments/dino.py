"""DINO: a student predicts its teacher's centred, sharpened distribution from other views.  arXiv:2104.14294

    python -m experiments.dino --demo                                       # a few minutes on a CPU
    python -m experiments.dino --data tfds:cifar10 --encoder vit_ti4 --batch 256 --steps 20000
    python -m experiments.dino --data tfds:imagenet2012 --out gs://bucket/dino          # on a pod

The paper: ViT-S/16, batch 1024, 2 x 224 + 8 x 96, ImageNet, 100 epochs: k-NN 69.3 %, linear 74.0 %; 1.75 days on 8 V100.
"""

from functools import partial

import optax

from jssl.experiment import Experiment, Training, main, recipe
from jssl.methods import dino
from jssl.models import batch_norm, dino_head
from jssl.optim import adamw, clip_by_parameter_norm, cosine, freeze_during, linear, teacher_momentum


@recipe(encoder="vit_s16", batch=1024, steps=125_000, warmup=0.1, learning_rate=2e-3, weight_decay=0.04, views="dino")
def experiment(
    training: Training,
    *,
    prototypes: int = 65536,
    locals: int = 8,
    momentum: float = 0.996,
    teacher_temperature: float = 0.07,
    temperature_warmup: float = 0.3,
    final_weight_decay: float = 0.4,
    frozen: float = 0.01,
    hidden: int = 2048,
    bottleneck: int = 256,
    head_norm: bool = False,
) -> Experiment:
    """DINO as an experiment.

    prototypes: outputs of the head.
    locals: small views of each image.
    momentum: of the teacher at the start; it rises to 1.
    teacher_temperature: of the teacher, after rising from 0.04.
    temperature_warmup: share of the run in which it rises.
    final_weight_decay: to which the weight decay rises.
    frozen: share of the run in which the last layer stands still.
    hidden: width of the head's hidden layers.
    bottleneck: width before the last layer.
    head_norm: batch norm in the head.
    """
    network = training.network(drop_path=0.1)
    sizes = dict(hidden=hidden, bottleneck=bottleneck, norm=batch_norm if head_norm else None)
    last = dino_head(prototypes, **sizes).last
    return training.experiment(
        dino(
            network,
            prototypes=prototypes,
            head=partial(dino_head, **sizes),
            momentum=teacher_momentum(momentum, training.steps),
            teacher_temperature=linear(0.04, teacher_temperature, max(1, training.share(temperature_warmup))),
        ),
        optimizer=optax.chain(
            clip_by_parameter_norm(3.0),
            adamw(training.rate(), weight_decay=cosine(training.weight_decay, final_weight_decay, training.steps)),
            freeze_during(training.share(frozen), lambda path: path[0] == "cls" and path[1] == last),
        ),
        views=training.view_recipe(locals=locals),
        network=network,
    )


demo = dict(
    encoder="vit_n4", data="scenes:color", size=24, views="crops", batch=64,
    steps=450, warmup=0.1, learning_rate=2e-3, prototypes=512, locals=0, momentum=0.99, temperature_warmup=0.0,
    frozen=0.05, hidden=256, bottleneck=64, head_norm=True,
)  # fmt: skip

if __name__ == "__main__":
    main(experiment, demo)
