"""Jigsaw puzzles, arXiv:1603.09246."""

from dataclasses import dataclass

from jssl.methods import jigsaw
from jssl.optim import sgd
from jssl.run import Count, Data, DataInfo, Experiment, Share, main
from jssl.run.settings.tiles import Puzzles


@dataclass(frozen=True)
class Jigsaw(Puzzles):
    r"""Jigsaw puzzles: a network predicts the order of nine shuffled tiles of an image.  arXiv:1603.09246

    jssl train jigsaw --demo                                                # a few minutes on a CPU
    jssl train jigsaw --data tfds:imagenet2012 --out gs://bucket/jigsaw     # on a pod

    The paper: a context-free AlexNet, batch 256, ImageNet, 350,000 steps: linear 34.0 % on its third
    convolution, from memory. The numbers are those of the authors' code, the encoder is our own choice: there
    is no AlexNet here. Permutations are chosen by their least distance, not by the mean; tiles are
    standardized, as in the code for jigsaw++, where that for jigsaw takes a mean color off.
    """

    data: Data = "tfds:imagenet2012"
    encoder: str = "resnet50"
    """Our own choice."""
    batch: Count = 256
    epochs: float = 70
    """350,000 steps."""
    warmup: float = 0
    learning_rate: float = 0.01
    rate_per: Count | None = None
    final_rate: float = 0.001
    drops: tuple[float, ...] = (20, 40, 60)
    """Every 100,000 steps."""
    weight_decay: float = 5e-4
    views: str = "puzzle"
    size: Count | None = 255
    area: Share = (255 / 256) ** 2
    """Of the square that is cut into tiles, as a share of the image's."""
    grey: Share = 0.5
    """Share of the images without color."""
    projected: Share = 0.5
    """Share of the others whose colors lose green against magenta, in which fringes are."""
    cells: Count = 3
    """Along a side of the image."""
    tile: Share = 64 / 85
    """Side of a tile, as a share of its cell's."""
    apart: int = 2
    """How far a tile's channels are shifted against each other at most, in pixels."""
    permutations: Count = 100
    """In the table."""
    puzzles: Count = 1
    """Made of an image in a step."""
    embedding: Count = 1024
    """Width of a tile's vector."""
    hidden: Count = 4096
    """Width of the layer over all tiles."""
    dropout: Share = 0.5
    """In that layer, and of tiles' vectors."""

    def build(self, data: DataInfo) -> Experiment:
        network = self.network()
        method = jigsaw(network, **self.puzzle(data))
        optimizer = sgd(self.rate(data), weight_decay=self.weight_decay)
        views = self.make_views(data, area=self.area, grey=self.grey, projected=self.projected)
        return self.experiment(data, method, optimizer=optimizer, views=views, network=network)


SOURCES = {
    "": "MehdiNoroozi/JigsawPuzzleSolver, solver_cfn_jps.prototxt and train_val_cfn_jps.prototxt",
    "encoder": "our own choice",
    "grey": "src/caffe/data_transformer.cpp of its Caffe",
    "projected": "src/caffe/data_transformer.cpp of its Caffe, color_proj",
    "apart": "src/caffe/data_transformer.cpp of its Caffe",
}

demo = Jigsaw(
    encoder="resnet10x0.25_cifar",
    data="scenes:shape",
    size=48,
    batch=64,
    epochs=10,
    steps=400,
    warmup=0.5,
    learning_rate=0.05,
    final_rate=0.0,
    drops=(),
    grey=0.0,
    projected=0.0,
    apart=0,
    permutations=24,
    puzzles=4,
    embedding=64,
    hidden=256,
    dropout=0.0,
)

if __name__ == "__main__":
    main(demo)
