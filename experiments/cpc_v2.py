"""CPC v2, arXiv:1905.09272."""

from dataclasses import dataclass
from functools import partial

from jssl.methods import cpc_v2
from jssl.models import Patchwise, augmented_patches, first_stages
from jssl.optim import adamw
from jssl.run import Count, Data, DataInfo, Experiment, Share, Training, main


@dataclass(frozen=True)
class CPCV2(Training):
    """CPC v2: larger patches, each augmented by itself, are predicted in all four directions.
    arXiv:1905.09272

    jssl train cpc_v2 --demo                                                # a few minutes on a CPU
    jssl train cpc_v2 --data tfds:imagenet2012 --out gs://bucket/cpc2       # on a pod

    The paper: ResNet-50, ImageNet: linear 63.8 % top-1; ResNet-161 71.5 %, and 73.1 % with 10 % of the
    labels. Here patches lose channels and are flipped; the paper also shears, bends and recolors them.
    """

    data: Data = "tfds:imagenet2012"
    encoder: str = "resnet50"
    """Of which three stages are used."""
    batch: Count = 512
    epochs: float = 200
    warmup: float = 0
    learning_rate: float = 4e-4
    rate_per: Count | None = None
    final_rate: float = 1.0
    """The rate stays as it is."""
    beta: Share = 0.8
    """Adam's first."""
    weight_decay: float = 0.0
    views: str = "cpc_v2"
    size: Count | None = 260
    patch: Count = 80
    """Side of a patch, in pixels."""
    stride: Count = 36
    """From one patch to the next, in pixels."""
    flip: Share = 0.5
    """Share of the patches whose left and right are exchanged."""
    drop: Share = 0.5
    """Share of the patches that lose all channels but one."""
    offsets: tuple[Count, ...] = (3, 4, 5)
    """How many rows or columns further on is predicted."""
    hidden: Count = 256
    """Channels inside the contexts' blocks."""
    dim: Count = 64
    """Width of predictions and targets."""
    scale: float = 0.1
    """Of the inner products."""

    def build(self, data: DataInfo) -> Experiment:
        network = self.network()
        if not isinstance(network, Patchwise):
            each = partial(augmented_patches, flip=self.flip, drop=self.drop)
            network = Patchwise(first_stages(network), self.patch, self.stride, each)
        widths = dict(dim=self.dim, hidden=self.hidden)
        method = cpc_v2(network, offsets=self.offsets, scale=self.scale, **widths)
        optimizer = adamw(self.rate(data), b1=self.beta, weight_decay=self.weight_decay)
        return self.experiment(data, method, optimizer=optimizer, network=network)


SOURCES = {
    "": "the paper and its appendix, from memory: its authors published no code",
    "encoder": "the paper, as paperswithcode.com lists it",
    "beta": "Lightning-Universe/lightning-bolts, pl_bolts/models/self_supervised/cpc/cpc_module.py",
    "size": "the paper, as MaekTec/dl-lab-project quotes it, pretrain_contrastive_predictive_coding.py",
    "patch": "the paper, as MaekTec/dl-lab-project quotes it, pretrain_contrastive_predictive_coding.py",
    "stride": "the paper, as MaekTec/dl-lab-project quotes it, pretrain_contrastive_predictive_coding.py",
    "flip": "paperswithcode.com/method/cpc-v2, which does not say how often",
    "drop": "the paper drops channels, how often is our own choice",
    "hidden": "the paper's listing, as wilson1yan/cs294-158-ssl has it, deepul_helper/tasks/cpc.py",
    "dim": "the paper's listing, as wilson1yan/cs294-158-ssl has it, deepul_helper/tasks/cpc.py",
    "scale": "the paper's listing, as wilson1yan/cs294-158-ssl has it, deepul_helper/tasks/cpc.py",
    "offsets": "deepul_helper/tasks/cpc.py, its reading of that listing, which literally has 3 alone",
}

demo = CPCV2(
    encoder="resnet10x0.25_cifar",
    data="scenes:color",
    size=32,
    batch=64,
    epochs=10,
    steps=250,
    warmup=0.5,
    learning_rate=1e-3,
    beta=0.9,
    patch=12,
    stride=5,
    offsets=(2, 3),
    hidden=64,
    dim=32,
)

if __name__ == "__main__":
    main(demo)
