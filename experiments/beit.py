"""BEiT, arXiv:2106.08254."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import flax.linen as nn
import optax

from jssl.methods import beit
from jssl.models import RelativePositionBias, depth_scaled, patch_head
from jssl.optim import adamw, all_but_class_token, clip_by_global_norm
from jssl.run import Count, Data, DataInfo, Experiment, Share, Words, main


@dataclass(frozen=True)
class BEiT(Words):
    r"""BEiT: the words (discrete tokens) of hidden patches are predicted from mask tokens.  arXiv:2106.08254

    jssl train beit --demo                                                  # a few minutes on a CPU
    jssl train tokenizer --demo                                             # words that are learned, for
    jssl train beit --demo --teacher runs/tokenizer-demo
    jssl train beit --teacher runs/tokenizer --data tfds:imagenet2012 --out gs://bucket/beit  # on a pod

    The paper: ViT-B/16, batch 2048, ImageNet, 800 epochs, the 8192 words of DALL-E's tokenizer: fine-tuned
    83.2 %. Without --teacher, words are mean patches of the first batch. The log's `trivial` is the entropy
    of the words that are hidden.
    """

    data: Data = "tfds:imagenet2012"
    encoder: str = "vit_b16"
    batch: Count = 2048
    epochs: float = 800
    warmup: float = 10
    learning_rate: float = 1.5e-3
    rate_per: Count | None = None
    final_rate: float = 0.0067
    """The code's 1e-5."""
    weight_decay: float = 0.05
    views: str = "beit"
    clip: float = 3.0
    """The largest norm of the gradient."""
    drop_path: Share = 0.1
    """Stochastic depth of the last block."""
    layer_scale: float | None = 0.1
    """The first factor on each branch of a block; None: there is none."""
    deviation: float | None = 0.02
    """Of the first weights, cut at one deviation and smaller in later blocks; None: the encoder's own."""
    words: Count = 8192
    """How many there are, without --teacher."""
    count: Count = 75
    """Patches hidden, of 196."""
    min_block: Count = 16
    """The least patches of a block of them."""

    def build(self, data: DataInfo) -> Experiment:
        fields: dict[str, Any] = {}
        head = patch_head
        if self.deviation is not None:
            near = nn.initializers.truncated_normal(self.deviation, lower=-1.0, upper=1.0)
            fields = dict(kernel_init=near, token_init=near, start=depth_scaled)
            head = partial(patch_head, kernel_init=near)
        fields |= dict(attention_bias=RelativePositionBias(table_init=nn.initializers.zeros), positions=None)
        fields |= dict(qkv_bias=(True, False, True), layer_scale=self.layer_scale, drop_path=self.drop_path)
        network = self.network(hides="mask", **fields)
        teacher, words = self.tokenizer(data, network, words=self.words)
        blocks = dict(count=self.count, min_block=self.min_block)
        method = beit(network, teacher.network, words=words, head=head, **blocks)
        decayed = adamw(self.rate(data), weight_decay=self.weight_decay, decays=all_but_class_token)
        optimizer = optax.chain(clip_by_global_norm(self.clip), decayed)
        return self.experiment(data, method, optimizer=optimizer, network=network, given=teacher.given)


SOURCES = {
    "": "microsoft/unilm, beit/README.md and run_beit_pretraining.py",
    "views": "beit/datasets.py; there colors change before the crop",
    "words": "beit/README.md, of DALL-E's tokenizer, which sees a copy of 112 pixels",
}

demo = BEiT(
    encoder="vit_n4",
    data="scenes:color",
    size=24,
    views="mae",
    batch=64,
    epochs=10,
    steps=600,
    warmup=1,
    final_rate=0.0,
    drop_path=0.0,
    layer_scale=None,
    deviation=None,
    words=256,
    count=14,
    min_block=3,
)

if __name__ == "__main__":
    main(demo)
