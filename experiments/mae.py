"""MAE: a small decoder predicts the pixels of the patches that the encoder never sees.  arXiv:2111.06377

    python -m experiments.mae --demo                                        # a few minutes on a CPU
    python -m experiments.mae --data tfds:imagenet2012 --out gs://bucket/mae            # on a pod

The paper: ViT-L/16, batch 4096, ImageNet, 800 epochs: linear 73.5 %, fine-tuned 84.9 % (85.9 % after 1600 epochs, 31 hours
on 128 TPU v3 cores); ViT-B/16, 1600 epochs: fine-tuned 83.6 %.
"""

from jssl.methods import mae
from jssl.models import mae_decoder, sincos_positions, xavier
from jssl.optim import adamw
from jssl.run import Experiment, Training, main, recipe, reconstruction_figure


@recipe(
    encoder="vit_b16",
    batch=4096,
    steps=249_600,
    warmup=0.05,
    learning_rate=2.4e-3,
    weight_decay=0.05,
    views="mae",
)
def experiment(
    training: Training,
    *,
    ratio: float = 0.75,
    normalize_target: bool = True,
    decoder_dim: int = 512,
    decoder_depth: int = 8,
    decoder_heads: int = 16,
) -> Experiment:
    """MAE as an experiment.

    ratio: share of patches hidden.
    normalize_target: predict pixels normalised within each patch.
    decoder_dim: width of the decoder.
    decoder_depth: its blocks.
    decoder_heads: its heads.
    """
    network = training.network(hides="visible", positions=sincos_positions, kernel_init=xavier)
    decoder = mae_decoder(network.patch, dim=decoder_dim, depth=decoder_depth, heads=decoder_heads)
    method = mae(network, decoder=decoder, ratio=ratio, normalize_target=normalize_target)
    return training.experiment(
        method,
        optimizer=adamw(training.rate(), b2=0.95, weight_decay=training.weight_decay),
        network=network,
        figures=reconstruction_figure(
            method, training.view(), patch=network.patch, normalized=normalize_target
        ),
    )


demo = dict(
    encoder="vit_n4",
    data="scenes:color",
    size=24,
    batch=64,
    steps=800,
    warmup=0.1,
    learning_rate=1.5e-3,
    normalize_target=False,
    decoder_dim=64,
    decoder_depth=1,
    decoder_heads=4,
)

if __name__ == "__main__":
    main(experiment, demo)
