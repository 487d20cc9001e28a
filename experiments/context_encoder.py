"""Context encoders, arXiv:1604.07379."""

from dataclasses import dataclass

import jax.numpy as jnp
import optax

from jssl.methods import context_encoder
from jssl.models import Judge, MapDecoder, Squeezed
from jssl.optim import adamw, scale_some
from jssl.run import Count, Data, DataInfo, Experiment, Share, Training, hole_figure, main


@dataclass(frozen=True)
class ContextEncoder(Training):
    r"""Context encoders: a network fills a hole in the middle of an image, judged by an adversary.
    arXiv:1604.07379

    jssl train context_encoder --demo                                       # a few minutes on a CPU
    jssl train context_encoder --data tfds:imagenet2012 \
        --out gs://bucket/context_encoder                                   # on a pod

    The paper: a convolutional encoder, 128 pixels, and for features an AlexNet without an adversary, as
    --weight 0 has it: VOC classification 56.5 %, as wizwand.com lists it. The numbers are those of the
    authors' code, the encoder is our own choice.
    """

    data: Data = "tfds:imagenet2012"
    encoder: str = "resnet50"
    """Our own choice."""
    batch: Count = 64
    epochs: float = 500
    warmup: float = 0
    learning_rate: float = 2e-3
    """Ten times the adversary's."""
    rate_per: Count | None = None
    final_rate: float = 1.0
    """The rate stays as it is."""
    weight_decay: float = 0.0
    b1: Share = 0.5
    """Of Adam's first moment."""
    views: str = "context_encoder"
    size: Count | None = 128
    band: Share = 4 / 64
    """Of the hole's border, what is left, as a share of the hole's side."""
    border: float = 10.0
    """Weight of errors there."""
    weight: Share = 0.001
    """Of passing for real, against the error; at 0 there is no adversary."""
    adversary_rate: float = 0.1
    """Of the adversary, as a share of the learning rate."""
    squeezed: Count = 4000
    """Width of the vector between encoder and decoder."""
    widths: tuple[Count, ...] = (512, 256, 128, 64)
    """Of the decoder, whose layers double the map, and backwards of the adversary's, which halve it."""

    def view_side(self, data: DataInfo) -> int:
        """The side of the views, in pixels: twice that of a map which the decoder makes."""
        whole = 2 ** (len(self.widths) + 1)
        return max(whole, super().view_side(data) // whole * whole)

    def build(self, data: DataInfo) -> Experiment:
        network, hole = self.network(), self.view_side(data) // 2
        start = max(1, hole // 2 ** len(self.widths))
        method = context_encoder(
            network,
            squeezed=Squeezed(self.squeezed, self.widths[0], start),
            decoder=MapDecoder(3, self.widths, last=jnp.tanh),
            adversary=Judge(self.widths[::-1]),
            weight=self.weight,
            band=round(self.band * hole),
            border=self.border,
        )
        slower = scale_some(self.adversary_rate, lambda path: path[0] == "adversary")
        adam = adamw(self.rate(data), b1=self.b1, weight_decay=self.weight_decay)
        return self.experiment(
            data,
            method,
            optimizer=optax.chain(adam, slower),
            network=network,
            figures=hole_figure(method, self.view(data), normalized=self.normalization),
        )


SOURCES = {
    "": "pathak22/context-encoder, train.lua and README.md",
    "encoder": "our own choice",
    "widths": "train.lua, but the decoder's last layer",
    "views": "data/donkey_folder.lua",
}

demo = ContextEncoder(
    encoder="resnet10x0.25_cifar",
    data="scenes:shape",
    size=48,
    views="context_encoder",
    batch=64,
    epochs=10,
    steps=300,
    warmup=0.5,
    learning_rate=2e-3,
    squeezed=128,
    widths=(64, 32, 16),
)

if __name__ == "__main__":
    main(demo)
