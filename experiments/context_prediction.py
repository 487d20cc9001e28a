"""Context prediction, arXiv:1505.05192."""

from dataclasses import dataclass

import optax

from jssl.methods import context_prediction
from jssl.models import linear_head, puzzle_head
from jssl.optim import all_but, sgd, weights
from jssl.run import Count, Data, DataInfo, Experiment, Share, Training, main
from jssl.run.settings.tiles import tile_side


@dataclass(frozen=True)
class ContextPrediction(Training):
    r"""Context prediction: a network predicts where one tile lies relative to another.  arXiv:1505.05192

    jssl train context_prediction --demo                                    # a few minutes on a CPU
    jssl train context_prediction --data tfds:imagenet2012 \
        --out gs://bucket/context_prediction                                # on a pod

    The paper: AlexNet-like, ImageNet, four weeks on one GPU. The numbers are those of the study that
    trained ResNets on it, arXiv:1901.09005: ResNet-50 v1 of double width, batch 128, 35 epochs. Biases and
    norms do not decay here. With --grey 0 --dropped 1 tiles keep one channel, as the paper has it, and with
    --jitter they stay near their cells' middles; a third of the paper's tiles are also made small and large
    again, which is left out here.
    """

    data: Data = "tfds:imagenet2012"
    encoder: str = "resnet50x2"
    batch: Count = 128
    epochs: float = 35
    warmup: float = 5
    learning_rate: float = 0.1
    rate_per: Count | None = 256
    final_rate: float = 0.01
    drops: tuple[float, ...] = (15, 25)
    weight_decay: float = 1e-4
    head_decay: float = 5e-4
    """Of the layers over both tiles."""
    views: str = "puzzle"
    size: Count | None = 255
    grey: Share = 0.66
    """Share of the images without color."""
    tile: Share = 64 / 85
    """Side of a tile, as a share of its cell's."""
    jitter: Share | None = None
    """How far a tile lies from its cell's middle at most, as a share of the cell's side; None: anywhere."""
    dropped: Share = 0.0
    """Share of the images whose tiles keep one channel, beside noise."""
    embedding: Count = 1000
    """Width of a tile's vector."""
    hidden: Count = 4096
    """Width of the layer over both tiles."""
    dropout: Share = 0.5
    """In that layer."""

    def build(self, data: DataInfo) -> Experiment:
        network, (cell, side) = self.network(), tile_side(self.tile, self.view_side(data), cells=3)
        method = context_prediction(
            network,
            side=side,
            jitter=None if self.jitter is None else round(self.jitter * cell),
            dropped=self.dropped,
            tile=linear_head(self.embedding),
            join=puzzle_head(8, hidden=self.hidden, dropout=self.dropout, norm=True),
        )
        head = optax.add_decayed_weights(self.head_decay, mask=only_join)
        trunk = sgd(self.rate(data), weight_decay=self.weight_decay, decays=all_but("join", weights))
        optimizer = optax.chain(head, trunk)
        views = self.make_views(data, grey=self.grey)
        return self.experiment(data, method, optimizer=optimizer, views=views, network=network)


def only_join(params):
    """Chooses the weights of the layers over both tiles."""
    return all_but("encoder", all_but("tile", weights))(params)


SOURCES = {
    "": "google/revisiting-self-supervised, config/relative_patch_location/imagenet.sh",
    "weight_decay": "self_supervision/patch_utils.py",
    "head_decay": "self_supervision/patch_utils.py, fully_connected",
    "embedding": "models/resnet.py: logits without a ReLU",
    "hidden": "self_supervision/patch_utils.py",
    "dropout": "self_supervision/patch_utils.py",
    "views": "self_supervision/patch_model_preprocess.py and preprocess.py",
    "jitter": "cdoersch/deepcontext, train.py, has 7 of a cell's 144 pixels",
    "dropped": "cdoersch/deepcontext, train.py, has it of all images",
}

demo = ContextPrediction(
    encoder="resnet10x0.25_cifar",
    data="scenes:shape",
    size=48,
    batch=64,
    epochs=10,
    steps=400,
    warmup=0.5,
    learning_rate=0.1,
    rate_per=None,
    final_rate=0.0,
    drops=(),
    grey=0.0,
    embedding=64,
    hidden=256,
    dropout=0.0,
)

if __name__ == "__main__":
    main(demo)
