"""DINO: a student predicts its teacher's centred, sharpened distribution from other views.  arXiv:2104.14294

    python -m experiments.dino --demo                                       # a few minutes on a CPU
    python -m experiments.dino --data tfds:cifar10 --encoder vit_ti4 --batch 256 --steps 20000
    python -m experiments.dino --data tfds:imagenet2012 --out gs://bucket/dino          # on a pod

The paper: ViT-S/16, batch 1024, 2 x 224 + 8 x 96, ImageNet, 100 epochs: k-NN 69.3 %, linear 74.0 %; 1.75 days on 8 V100.
"""

from jssl.methods import dino
from jssl.run import Experiment, SelfDistillation, main, recipe


@recipe(
    encoder="vit_s16",
    batch=1024,
    steps=125_000,
    warmup=0.1,
    learning_rate=2e-3,
    weight_decay=0.04,
    views="dino",
)
def experiment(training: SelfDistillation) -> Experiment:
    """DINO as an experiment."""
    network = training.network(drop_path=0.1)
    method = dino(
        network,
        prototypes=training.prototypes,
        head=training.head(),
        momentum=training.teacher_momentum(),
        teacher_temperature=training.temperature(),
    )
    views = training.view_recipe(locals=training.locals)
    return training.experiment(method, optimizer=training.optimizer(), views=views, network=network)


demo = dict(
    encoder="vit_n4",
    scan=True,
    data="scenes:color",
    size=24,
    views="crops",
    batch=64,
    steps=250,
    warmup=0.1,
    learning_rate=2e-3,
    prototypes=512,
    locals=0,
    momentum=0.99,
    temperature_warmup=0.0,
    frozen=0.05,
    hidden=256,
    bottleneck=64,
    head_norm=True,
)

if __name__ == "__main__":
    main(experiment, demo)
