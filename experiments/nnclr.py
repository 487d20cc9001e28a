"""NNCLR, arXiv:2104.14548."""

from dataclasses import dataclass

import flax.linen as nn

from jssl.methods import nnclr
from jssl.models import nnclr_head, nnclr_predictor
from jssl.optim import lars
from jssl.run import Count, Data, DataInfo, Experiment, Training, main


@dataclass(frozen=True)
class NNCLR(Training):
    r"""NNCLR: a view's nearest neighbour among past embeddings is contrasted with the other view's
    prediction.  arXiv:2104.14548

    jssl train nnclr --demo                                                 # a few minutes on a CPU
    jssl train nnclr --data tfds:cifar10 --encoder resnet18_cifar --batch 256 --queue 49152 --temperature 0.2
    jssl train nnclr --data tfds:imagenet2012 --out gs://bucket/nnclr       # on a pod

    The paper: ResNet-50, batch 4096, ImageNet, 1000 epochs: linear 75.6 % top-1 (71.7 % without neighbours).
    Its code is not published. Past projections are the first view's; keep no more than there are images.
    """

    data: Data = "tfds:imagenet2012"
    encoder: str = "resnet50"
    batch: Count = 4096
    epochs: float = 1000
    warmup: float = 10
    learning_rate: float = 0.3
    rate_per: Count | None = 256
    final_rate: float = 0.0
    weight_decay: float = 1e-6
    views: str = "byol"
    queue: Count = 98304
    """Past projections kept, a multiple of the batch."""
    temperature: float = 0.1
    """Of the contrast."""
    hidden: Count = 2048
    """Width of the projection's hidden layers."""
    predictor_hidden: Count = 4096
    """Width of the prediction's hidden layer."""
    dim: Count = 256
    """Width of projection and prediction."""

    def build(self, data: DataInfo) -> Experiment:
        network = self.network(where_it_has=dict(last_scale=nn.initializers.zeros))
        method = nnclr(
            network,
            head=nnclr_head(self.dim, hidden=self.hidden),
            predictor=nnclr_predictor(self.dim, hidden=self.predictor_hidden),
            queue=self.queue,
            temperature=self.temperature,
        )
        optimizer = lars(self.rate(data), weight_decay=self.weight_decay)
        return self.experiment(data, method, optimizer=optimizer, network=network)


SOURCES = {
    "": "a reproduction, clane9/vissl, configs/config/pretrain/nnclr/nnclr_8node_resnet.yaml",
    "start_rate": "0, as SimCLR; the reproduction has an eighth",
    "views": "the reproduction, which says that the paper has BYOL's; docs.lightly.ai has SimCLR's",
    "hidden": "the paper; vturrisi/solo-learn, solo/methods/nnclr.py",
    "predictor_hidden": "the paper; vturrisi/solo-learn, solo/methods/nnclr.py",
    "dim": "the paper; vturrisi/solo-learn, solo/methods/nnclr.py",
}

demo = NNCLR(
    encoder="resnet10x0.25_cifar",
    data="scenes:color",
    size=24,
    views="crops",
    batch=64,
    epochs=10,
    steps=500,
    warmup=1,
    learning_rate=1.0,
    rate_per=None,
    queue=4096,
    temperature=0.2,
    hidden=256,
    predictor_hidden=256,
    dim=64,
)

if __name__ == "__main__":
    main(demo)
