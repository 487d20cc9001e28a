"""I-JEPA, arXiv:2301.08243."""

from dataclasses import dataclass
from functools import partial

from jssl import masks
from jssl.methods import i_jepa
from jssl.models import Predictor, sincos_positions
from jssl.optim import adamw, cosine, linear, weights_and_tokens
from jssl.run import Count, Data, DataInfo, Experiment, Share, Training, main


@dataclass(frozen=True)
class IJEPA(Training):
    r"""I-JEPA: a teacher's features of target blocks are predicted from one context block.  arXiv:2301.08243

    jssl train i_jepa --demo                                                # a few minutes on a CPU
    jssl train i_jepa --data tfds:imagenet2012 --out gs://bucket/ijepa      # on a pod
    jssl train i_jepa --data tfds:imagenet2012 --encoder vit_b16 --epochs 600 \
        --predictor-depth 6 --predictor-heads 12

    The paper: ViT-H/14, batch 2048, ImageNet, 300 epochs: linear 79.3 %; 72 hours on 16 A100. Images are
    never mirrored, and mask tokens decay, as in the authors' code. The log's `trivial` is the loss of the
    mean of what the teacher says.
    """

    data: Data = "tfds:imagenet2012"
    encoder: str = "vit_h14"
    batch: Count = 2048
    epochs: float = 300
    warmup: float = 40
    learning_rate: float = 1e-3
    rate_per: Count | None = None
    start_rate: float = 0.2
    """The code's 2e-4."""
    final_rate: float = 0.001
    """The code's 1e-6."""
    weight_decay: float = 0.04
    final_weight_decay: float = 0.4
    """To which the weight decay rises."""
    views: str = "i_jepa"
    momentum: Share = 0.996
    """Of the teacher at the start; it rises to 1 in a line."""
    min_keep: Count = 10
    """A context has more patches than this."""
    together: Count = 128
    """Neighbours in a batch whose contexts are cut to one size: the share of one of the authors' 16 GPUs."""
    predictor_dim: Count = 384
    """Width of the predictor."""
    predictor_depth: Count = 12
    """Its blocks; 6 for ViT-B."""
    predictor_heads: Count = 16
    """Its heads, as many as the encoder's."""

    def build(self, data: DataInfo) -> Experiment:
        network, steps = (
            self.network(hides="visible", class_token=False, positions=sincos_positions),
            self.length(data),
        )
        init = dict(kernel_init=network.kernel_init, attend=self.attend)
        method = i_jepa(
            network,
            predictor=Predictor(self.predictor_dim, self.predictor_depth, self.predictor_heads, **init),
            momentum=linear(self.momentum, 1.0, steps),
            masking=partial(masks.multiblock_masks, min_keep=self.min_keep, together=self.together),
        )
        decay = cosine(self.weight_decay, self.final_weight_decay, steps)
        optimizer = adamw(self.rate(data), weight_decay=decay, decays=weights_and_tokens)
        return self.experiment(data, method, optimizer=optimizer, network=network)


SOURCES = {
    "": "facebookresearch/ijepa, configs/in1k_vith14_ep300.yaml",
    "batch": "the configuration's 128 on 16 GPUs",
    "predictor_heads": "src/helper.py",
    "views": "src/transforms.py",
}

demo = IJEPA(
    encoder="vit_n4",
    scan=True,
    data="scenes:color",
    size=24,
    batch=64,
    epochs=10,
    steps=400,
    warmup=1,
    start_rate=0.0,
    final_rate=0.0,
    min_keep=5,
    predictor_dim=96,
    predictor_depth=3,
    predictor_heads=3,
)

if __name__ == "__main__":
    main(demo)
