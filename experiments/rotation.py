"""Image rotations, arXiv:1803.07728."""

from dataclasses import dataclass

from jssl.methods import rotation
from jssl.optim import everything, sgd
from jssl.run import Count, Data, DataInfo, Experiment, Training, main, rotation_figure


@dataclass(frozen=True)
class Rotation(Training):
    r"""Image rotations: a network tells by how much an image was turned.  arXiv:1803.07728

    jssl train rotation --demo                                              # a few minutes on a CPU
    jssl train rotation --data tfds:cifar10 --encoder resnet18_cifar --batch 128 --epochs 200 \
        --learning-rate 0.1 --drops 60 120 160 --final-rate 0.008
    jssl train rotation --data tfds:imagenet2012 --out gs://bucket/rotation # on a pod

    The paper: AlexNet, batch 192, ImageNet, 50 epochs: linear 38.7 % on its third convolution. The numbers
    are those of the authors' code, the encoder is our own choice: there is no AlexNet here. Biases and norms
    decay too.
    """

    data: Data = "tfds:imagenet2012"
    encoder: str = "resnet50"
    """Our own choice."""
    batch: Count = 192
    epochs: float = 50
    warmup: float = 0
    learning_rate: float = 0.01
    rate_per: Count | None = None
    final_rate: float = 0.001
    drops: tuple[float, ...] = (15, 30, 45)
    weight_decay: float = 5e-4
    views: str = "rotation"

    def build(self, data: DataInfo) -> Experiment:
        network = self.network()
        method = rotation(network)
        return self.experiment(
            data,
            method,
            optimizer=sgd(self.rate(data), nesterov=True, weight_decay=self.weight_decay, decays=everything),
            network=network,
            figures=rotation_figure(method, self.view(data)),
        )


SOURCES = {
    "": "gidariss/FeatureLearningRotNet, config/ImageNet_RotNet_AlexNet.py",
    "encoder": "our own choice",
    "views": "dataloader.py",
}

# On digits a rotation is often anyone's guess (0, 1, 8, and 6 for 9), but scenes give it away by their light.
demo = Rotation(
    encoder="resnet10x0.25_cifar",
    data="digits",
    size=24,
    batch=64,
    epochs=10,
    steps=580,
    warmup=0.5,
    learning_rate=0.1,
    final_rate=0.0,
    drops=(),
)

if __name__ == "__main__":
    main(demo)
