"""CPC, arXiv:1807.03748."""

from dataclasses import dataclass
from functools import partial

from jssl.methods import cpc
from jssl.models import Patchwise, augmented_patches, first_stages
from jssl.optim import adamw
from jssl.run import Count, Data, DataInfo, Experiment, Training, main


@dataclass(frozen=True)
class CPC(Training):
    """CPC: patches of an image are predicted from the rows of patches above them.  arXiv:1807.03748

    jssl train cpc --demo                                                   # a few minutes on a CPU
    jssl train cpc --data tfds:imagenet2012 --out gs://bucket/cpc           # on a pod

    The paper: three stages of ResNet-101 v2, batch 512 on 32 GPUs, 7 x 7 patches of 64 pixels, ImageNet:
    linear 48.7 % top-1. Here the ResNet is of the first kind, with a norm of every patch by itself, contexts
    are those of CPC v2's listing, and negatives are all patches of the whole batch.
    """

    data: Data = "tfds:imagenet2012"
    encoder: str = "resnet101"
    """Of which three stages are used."""
    batch: Count = 512
    epochs: float = 200
    """Our own choice: the paper does not say."""
    warmup: float = 0
    learning_rate: float = 2e-4
    rate_per: Count | None = None
    final_rate: float = 1.0
    """The rate stays as it is."""
    weight_decay: float = 0.0
    views: str = "cpc"
    size: Count | None = 256
    patch: Count = 64
    """Side of a patch, in pixels."""
    stride: Count = 32
    """From one patch to the next, in pixels."""
    shift: int = 4
    """Pixels that a random part of each patch is smaller by."""
    offsets: tuple[Count, ...] = (2, 3, 4, 5)
    """How many rows further down is predicted."""
    hidden: Count = 256
    """Channels inside the context's blocks."""
    dim: Count = 64
    """Width of predictions and targets."""
    scale: float = 0.1
    """Of the inner products."""

    def build(self, data: DataInfo) -> Experiment:
        network = self.network()
        if not isinstance(network, Patchwise):
            augment = partial(augmented_patches, shift=self.shift)
            network = Patchwise(first_stages(network), self.patch, self.stride, augment)
        method = cpc(network, offsets=self.offsets, dim=self.dim, hidden=self.hidden, scale=self.scale)
        optimizer = adamw(self.rate(data), weight_decay=self.weight_decay)
        return self.experiment(data, method, optimizer=optimizer, network=network)


SOURCES = {
    "": "the paper, section 3.2: its authors published no code for images",
    "epochs": "our own choice",
    "offsets": "the paper, section 3.2: up to five rows; the next is left out, which is our own choice",
    "hidden": "CPC v2's listing, as wilson1yan/cs294-158-ssl has it, deepul_helper/tasks/cpc.py",
    "dim": "CPC v2's listing, as wilson1yan/cs294-158-ssl has it, deepul_helper/tasks/cpc.py",
    "scale": "CPC v2's listing, as wilson1yan/cs294-158-ssl has it, deepul_helper/tasks/cpc.py",
}

demo = CPC(
    encoder="resnet10x0.25_cifar",
    data="scenes:color",
    size=32,
    batch=64,
    epochs=10,
    steps=250,
    warmup=0.5,
    learning_rate=1e-3,
    patch=8,
    stride=4,
    shift=2,
    offsets=(2, 3, 4),
    hidden=64,
    dim=32,
)

if __name__ == "__main__":
    main(demo)
