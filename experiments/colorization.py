"""Colorization, arXiv:1603.08511."""

from dataclasses import dataclass

import optax

from jssl.methods import colorization
from jssl.models import Lightness, MapDecoder
from jssl.objectives import AB_BINS
from jssl.optim import adamw
from jssl.run import Count, Data, DataInfo, Experiment, Share, Training, color_figure, main


@dataclass(frozen=True)
class Colorization(Training):
    r"""Colorization: a network predicts the colors of an image from its lightness.  arXiv:1603.08511

    jssl train colorization --demo                                          # a few minutes on a CPU
    jssl train colorization --data tfds:imagenet2012 \
        --out gs://bucket/colorization                                      # on a pod

    The paper: a dilated VGG, and an AlexNet for features, ImageNet: linear 31.5 % on its fourth convolution,
    from memory. The numbers are those of the authors' code but for encoder and size. How frequent colors are
    is measured in training, which needs no file of ImageNet's.
    """

    data: Data = "tfds:imagenet2012"
    encoder: str = "resnet50"
    """Our own choice; it sees lightness alone."""
    batch: Count = 40
    epochs: float = 15.6
    """500,000 steps."""
    warmup: float = 0
    learning_rate: float = 3e-5
    rate_per: Count | None = None
    final_rate: float = 0.01
    drops: tuple[float, ...] = (7, 14)
    """After 225,000 and 450,000 steps."""
    weight_decay: float = 1e-3
    """Of everything, in the gradient, as Adam had it."""
    b2: Share = 0.99
    """Of Adam's second moment."""
    views: str = "colorization"
    size: Count | None = 192
    """The code's 176, in whole cells of the encoder."""
    widths: tuple[Count, ...] = (256, 256, 256)
    """Of the decoder's layers, each of which doubles the map: to a quarter of the image's sides."""
    mix: Share = 0.5
    """Of equal weights in those of colors; at 1 rare colors count as any."""
    neighbours: Count = 10
    """Bins over which a color is spread."""
    sigma: float = 5.0
    """Of the Gaussian that spreads it."""
    temperature: float = 0.38
    """Of the colors that are shown."""

    def build(self, data: DataInfo) -> Experiment:
        network = self.network()
        network = network if isinstance(network, Lightness) else Lightness(network)
        decoder = MapDecoder(len(AB_BINS), self.widths)
        settings = dict(mix=self.mix, neighbours=self.neighbours, sigma=self.sigma)
        method = colorization(network, decoder=decoder, **settings)
        decay = optax.add_decayed_weights(self.weight_decay)
        return self.experiment(
            data,
            method,
            optimizer=optax.chain(decay, adamw(self.rate(data), b2=self.b2, weight_decay=0.0)),
            network=network,
            figures=color_figure(method, self.view(data), decoder, temperature=self.temperature),
        )


SOURCES = {
    "": "richzhang/colorization, train/solver.prototxt and train/train_val.prototxt",
    "encoder": "our own choice",
    "size": "our own choice",
    "widths": "our own choice; the authors' map is of a quarter, too",
    "mix": "resources/caffe_traininglayers.py",
    "neighbours": "resources/caffe_traininglayers.py",
    "sigma": "resources/caffe_traininglayers.py",
    "temperature": "models/colorization_deploy_v2.prototxt: 1 / 2.606",
}

demo = Colorization(
    encoder="resnet10x0.25_cifar",
    data="scenes:shape",
    size=48,
    batch=64,
    epochs=10,
    steps=400,
    warmup=0.5,
    learning_rate=2e-3,
    final_rate=0.0,
    drops=(),
    weight_decay=0.0,
    widths=(64,),
)

if __name__ == "__main__":
    main(demo)
