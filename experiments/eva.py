"""EVA, arXiv:2211.07636."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import flax.linen as nn
import optax

from jssl.methods import eva
from jssl.models import LearnedPositions, depth_scaled, patch_head
from jssl.optim import adamw, clip_by_global_norm, weights_and_mask_token
from jssl.run import Count, Data, DataInfo, Experiment, Share, Taught, main


@dataclass(frozen=True)
class EVA(Taught):
    r"""EVA: a frozen CLIP's features of hidden patches are predicted from mask tokens.  arXiv:2211.07636

    jssl train clip --demo                                                  # what the demo predicts
    jssl train eva --demo                                                   # a few minutes on a CPU
    jssl train eva --teacher openai/clip-vit-large-patch14 --data folder:/merged30m   # on a pod

    The paper: ViT-g/14 of a billion parameters, batch 4096, 30 million images of six data sets, 150 epochs,
    CLIP ViT-L/14: fine-tuned 89.6 % after ImageNet-21k. The teacher may be any network with as many patches:
    where it is no CLIP, its normalised tokens are predicted. The log's `trivial` is the mean feature's loss.
    """

    data: Data = "folder:/merged30m"
    encoder: str = "vit_giant14"
    batch: Count = 4096
    epochs: float = 150
    warmup: float = 2
    learning_rate: float = 1e-3
    rate_per: Count | None = None
    final_rate: float = 0.01
    """The code's 1e-5."""
    weight_decay: float = 0.05
    views: str = "eva"
    clip: float = 3.0
    """The largest norm of the gradient."""
    drop_path: Share = 0.1
    """Stochastic depth of the last block."""
    deviation: float | None = 0.015
    """Of the first weights, cut at one deviation and smaller in later blocks; None: the encoder's own."""
    count: Count = 105
    """Patches hidden, of 256."""
    min_block: Count = 16
    """The least patches of a block of them."""

    def lacks(self) -> str | None:
        needed = (
            "eva needs --teacher, the weights whose features are predicted, such as "
            "openai/clip-vit-large-patch14 or a run"
        )
        return needed if self.teacher is None else None

    def build(self, data: DataInfo) -> Experiment:
        start: dict[str, Any] = {}
        head = patch_head
        if self.deviation is not None:
            near = nn.initializers.truncated_normal(self.deviation, lower=-1.0, upper=1.0)
            start = dict(kernel_init=near, token_init=near, positions=LearnedPositions(table_init=near))
            start |= dict(start=depth_scaled)
            head = partial(patch_head, kernel_init=near)
        biases = (True, False, True)
        network = self.network(hides="mask", qkv_bias=biases, drop_path=self.drop_path, **start)
        teacher, dim = self.frozen_patches(data, network)
        blocks = dict(count=self.count, min_block=self.min_block)
        method = eva(network, teacher.network, dim=dim, head=head, **blocks)
        adam: dict[str, Any] = dict(b2=0.98, eps=1e-6, decays=weights_and_mask_token)
        decayed = adamw(self.rate(data), weight_decay=self.weight_decay, **adam)
        optimizer = optax.chain(clip_by_global_norm(self.clip), decayed)
        return self.experiment(data, method, optimizer=optimizer, network=network, given=teacher.given)


SOURCES = {
    "": "baaivision/EVA, EVA-01/eva/README.md and run_eva_pretraining.py",
    "encoder": "modeling_pretrain.py, eva_g_patch14_224",
    "views": "datasets.py",
}

demo = EVA(
    teacher="runs/clip-demo",
    encoder="vit_n8",
    data="scenes:color",
    batch=64,
    epochs=10,
    steps=600,
    warmup=1,
    final_rate=0.0,
    drop_path=0.0,
    deviation=None,
    count=6,
    min_block=2,
)

if __name__ == "__main__":
    main(demo)
