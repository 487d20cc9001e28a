"""SLIP: CLIP and SimCLR on one image encoder.  arXiv:2112.12750

    python -m experiments.slip --demo                                       # a few minutes on a CPU

Data needs token ids under "caption": `scenes`, or a `Source` of your own handed to `jssl.run.run`.

The paper: ViT-B/16, batch 4096, YFCC15M, 25 epochs: zero-shot ImageNet 42.8 % (CLIP alone 37.6 %).
"""

from jssl.data.sources import scenes
from jssl.methods import slip
from jssl.models import last_place, simclr_head, text_encoder
from jssl.optim import adamw
from jssl.run import Experiment, Training, main, recipe


@recipe(
    encoder="vit_b16",
    batch=4096,
    steps=91_500,
    warmup=0.04,
    learning_rate=3e-3,
    weight_decay=0.1,
    views="simclr",
    data="scenes",
)
def experiment(
    training: Training,
    *,
    text: str = "text_b",
    dim: int = 512,
    weight: float = 1.0,
    temperature: float = 0.1,
    hidden: int = 4096,
    features: int = 256,
) -> Experiment:
    """SLIP as an experiment.

    text: the size of the text transformer, text_n to text_h.
    dim: of the joint space.
    weight: of SimCLR's term.
    temperature: of SimCLR's contrast.
    hidden: width of SimCLR's hidden layers.
    features: width of SimCLR's projection.
    """
    network = training.network()
    sizes = dict(vocabulary=len(scenes.WORDS), length=scenes.CAPTION_LENGTH, end=last_place)
    head = simclr_head(features, hidden=hidden, layers=3)
    return training.experiment(
        slip(
            network, text_encoder(text, **sizes), dim=dim, head=head, temperature=temperature, weight=weight
        ),
        optimizer=adamw(training.rate(), b2=0.98, weight_decay=training.weight_decay),
        views=training.view_recipe(scale=(0.5, 1.0)),
        network=network,
    )


demo = dict(
    encoder="vit_n4",
    scan=True,
    data="scenes:color",
    size=24,
    views="crops",
    batch=64,
    steps=200,
    warmup=0.1,
    learning_rate=1e-3,
    text="text_n",
    dim=64,
    hidden=256,
    features=64,
)

if __name__ == "__main__":
    main(experiment, demo)
