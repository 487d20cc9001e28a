"""iBOT: DINO on the class token, and the same distillation on hidden patches.  arXiv:2111.07832

    python -m experiments.ibot --demo                                       # a few minutes on a CPU
    python -m experiments.ibot --data tfds:imagenet2012 --out gs://bucket/ibot          # on a pod

The paper: ViT-S/16, batch 1024, 2 x 224 + 10 x 96, ImageNet, 800 epochs: k-NN 75.2 %, linear 77.9 %.
"""

from jssl.methods import ibot
from jssl.methods.distillation import sometimes_blocks
from jssl.run import Experiment, SelfDistillation, main, recipe


@recipe(
    encoder="vit_s16",
    batch=1024,
    steps=1_000_000,
    warmup=0.0125,
    learning_rate=2e-3,
    weight_decay=0.04,
    views="ibot",
    prototypes=8192,
    locals=10,
    temperature_warmup=0.0375,
    frozen=0.00125,
)
def experiment(
    training: SelfDistillation,
    *,
    shared_head: bool = True,
    patch_weight: float = 1.0,
    masked: float = 0.5,
    mask_ratio: tuple[float, float] = (0.1, 0.5),
) -> Experiment:
    """iBOT as an experiment.

    shared_head: one head for class token and patches.
    patch_weight: of the patches' term.
    masked: share of the views that hide patches.
    mask_ratio: least and most share of its patches that such a view hides.
    """
    network = training.network(hides="mask", drop_path=0.1)
    method = ibot(
        network,
        prototypes=training.prototypes,
        head=training.head(),
        shared_head=shared_head,
        masking=sometimes_blocks(network, ratio=mask_ratio, probability=masked),
        patch_weight=patch_weight,
        momentum=training.teacher_momentum(),
        teacher_temperature=training.temperature(),
        patch_temperature=training.temperature(),
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
    steps=200,
    warmup=0.1,
    learning_rate=2e-3,
    prototypes=512,
    locals=0,
    momentum=0.99,
    temperature_warmup=0.0,
    masked=0.3,
    mask_ratio=(0.05, 0.2),
    frozen=0.05,
    hidden=256,
    bottleneck=64,
    head_norm=True,
)

if __name__ == "__main__":
    main(experiment, demo)
