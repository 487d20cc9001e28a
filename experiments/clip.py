"""CLIP: every image finds its caption in the batch, and every caption its image.  arXiv:2103.00020

    python -m experiments.clip --demo                                       # a few minutes on a CPU

Data needs token ids under "caption": `scenes`, or a `Source` of your own handed to `jssl.run.run`.

The paper: ViT-B/32, batch 32,768, 400 million pairs, 32 epochs: zero-shot ImageNet 63.2 %; ViT-L/14 took 12 days on 256 V100.
"""

from jssl.data.sources import scenes
from jssl.methods import clip
from jssl.models import last_place, text_encoder
from jssl.optim import adamw
from jssl.run import Experiment, Training, caption_figure, main, recipe


@recipe(
    encoder="vit_b32",
    batch=32_768,
    steps=390_000,
    warmup=0.005,
    learning_rate=5e-4,
    weight_decay=0.2,
    views="mae",
    data="scenes",
)
def experiment(training: Training, *, text: str = "text_b", dim: int = 512) -> Experiment:
    """CLIP as an experiment.

    text: the size of the text transformer, text_n to text_h.
    dim: of the joint space.
    """
    network = training.network()
    sizes = dict(vocabulary=len(scenes.WORDS), length=scenes.CAPTION_LENGTH, end=last_place)
    method = clip(network, text_encoder(text, **sizes), dim=dim)
    return training.experiment(
        method,
        optimizer=adamw(training.rate(), b2=0.98, eps=1e-6, weight_decay=training.weight_decay),
        views=training.view_recipe(scale=(0.9, 1.0)),
        network=network,
        figures=caption_figure(method, training.view()),
    )


demo = dict(
    encoder="vit_n8",
    data="scenes:color",
    batch=64,
    steps=600,
    warmup=0.1,
    learning_rate=1e-3,
    text="text_n",
    dim=64,
)

if __name__ == "__main__":
    main(experiment, demo)
