"""NPID, arXiv:1805.01978."""

from dataclasses import dataclass

from jssl.methods import npid
from jssl.models import moco_head
from jssl.optim import everything, sgd
from jssl.run import Count, Data, DataInfo, Experiment, Share, Training, main


@dataclass(frozen=True)
class NPID(Training):
    """NPID: every image is a class, remembered in a bank of all images' last embeddings.  arXiv:1805.01978

    jssl train npid --demo                                                  # a few minutes on a CPU
    jssl train npid --data tfds:imagenet2012 --out gs://bucket/npid         # on a pod

    The paper: ResNet-18, batch 256, ImageNet, 200 epochs, 4096 negatives of noise-contrastive estimation; of
    the networks that its authors released k-NN 41.0 % top-1 (ResNet-50: 46.8 %). `cifar`, below, is their run
    on CIFAR-10 with the exact softmax. Biases and norms decay too, as in their code.
    """

    data: Data = "tfds:imagenet2012"
    encoder: str = "resnet18"
    batch: Count = 256
    epochs: float = 200
    warmup: float = 0
    learning_rate: float = 0.03
    rate_per: Count | None = None
    final_rate: float = 0.01
    drops: tuple[float, ...] = (120, 160)
    weight_decay: float = 1e-4
    views: str = "npid"
    temperature: float = 0.07
    """Of the softmax over the bank."""
    negatives: int = 4096
    """Rows of the bank drawn for each image; 0 for all of them."""
    momentum: Share = 0.5
    """Of an image's row towards its new embedding."""
    proximal: float = 0.0
    """Weight of the squared distance to the own row; the authors' code has no such term."""
    dim: Count = 128
    """Width of the projection."""

    def build(self, data: DataInfo) -> Experiment:
        network = self.network()
        method = npid(
            network,
            examples=data.examples,
            head=moco_head(self.dim, hidden=None),
            temperature=self.temperature,
            momentum=self.momentum,
            negatives=self.negatives,
            proximal=self.proximal,
        )
        optimizer = sgd(self.rate(data), weight_decay=self.weight_decay, decays=everything)
        return self.experiment(data, method, optimizer=optimizer, network=network)


SOURCES = {
    "": "zhirongw/lemniscate.pytorch, main.py and README",
}

cifar = NPID(  # cifar.py --nce-k 0 --nce-t 0.1 --lr 0.03
    data="tfds:cifar10",
    encoder="resnet18_cifar",
    batch=128,
    views="npid_cifar",
    weight_decay=5e-4,
    temperature=0.1,
    negatives=0,
)

demo = NPID(
    encoder="resnet10x0.25_cifar",
    data="scenes:color",
    size=24,
    views="crops",
    batch=64,
    epochs=10,
    steps=500,
    warmup=0.5,
    learning_rate=0.06,
    final_rate=0.0,
    drops=(),
    temperature=0.1,
    negatives=0,
    dim=64,
)

if __name__ == "__main__":
    main(demo)
