"""I-JEPA: from one context block, a teacher's features of several target blocks are predicted.  arXiv:2301.08243

    python -m experiments.i_jepa --demo                                     # a few minutes on a CPU
    python -m experiments.i_jepa --data tfds:imagenet2012 --out gs://bucket/ijepa       # on a pod

The paper: ViT-B/16, batch 2048, ImageNet, 600 epochs: linear 72.9 %; ViT-H/14, 300 epochs: 79.3 %, 72 hours on 16 A100.
"""

from functools import partial

from jssl import masks
from jssl.methods import i_jepa
from jssl.models import Predictor, sincos_positions
from jssl.optim import adamw, cosine, linear
from jssl.run import Experiment, Training, main, recipe


@recipe(
    encoder="vit_b16",
    batch=2048,
    steps=375_000,
    warmup=0.067,
    learning_rate=1e-3,
    weight_decay=0.04,
    views="mae",
)
def experiment(
    training: Training,
    *,
    momentum: float = 0.996,
    final_weight_decay: float = 0.4,
    min_keep: int = 10,
    predictor_dim: int = 384,
    predictor_depth: int = 6,
    predictor_heads: int = 12,
) -> Experiment:
    """I-JEPA as an experiment.

    momentum: of the teacher at the start; it rises to 1 in a line.
    final_weight_decay: to which the weight decay rises.
    min_keep: patches that a context has at least.
    predictor_dim: width of the predictor.
    predictor_depth: its blocks.
    predictor_heads: its heads.
    """
    network = training.network(hides="visible", class_token=False, positions=sincos_positions)
    method = i_jepa(
        network,
        predictor=Predictor(predictor_dim, predictor_depth, predictor_heads, kernel_init=network.kernel_init),
        momentum=linear(momentum, 1.0, training.steps),
        masking=partial(masks.multiblock_masks, min_keep=min_keep),
    )
    decay = cosine(training.weight_decay, final_weight_decay, training.steps)
    optimizer = adamw(training.rate(), weight_decay=decay)
    crop = training.view_recipe(scale=(0.3, 1.0))
    return training.experiment(method, optimizer=optimizer, views=crop)


demo = dict(
    encoder="vit_n4",
    scan=True,
    data="scenes:color",
    size=24,
    batch=64,
    steps=600,
    warmup=0.1,
    learning_rate=2e-3,
    momentum=0.996,
    min_keep=6,
    predictor_dim=48,
    predictor_depth=2,
    predictor_heads=3,
)

if __name__ == "__main__":
    main(experiment, demo)
