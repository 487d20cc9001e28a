"""CAE, arXiv:2202.03026."""

from dataclasses import dataclass
from typing import Any

import optax

from jssl.methods import cae
from jssl.models import LatentDecoder, LatentRegressor, sincos_positions_rows_first, xavier
from jssl.optim import adamw, clip_by_global_norm, weights_and_tokens
from jssl.run import Count, Data, DataInfo, Experiment, Share, Words, main


@dataclass(frozen=True)
class CAE(Words):
    r"""CAE: latents of hidden patches are predicted, and from them their words.  arXiv:2202.03026

    jssl train cae --demo                                                   # a few minutes on a CPU
    jssl train cae --demo --teacher runs/tokenizer-demo                      # with words that are learned
    jssl train cae --teacher runs/tokenizer --data tfds:imagenet2012 --out gs://bucket/cae  # on a pod

    The paper: ViT-B/16, batch 2048, ImageNet, 800 epochs, the 8192 words of DALL-E's tokenizer: linear
    68.9 %, attentive 75.9 %, fine-tuned 83.8 %. Without --teacher, words are mean patches of the first batch.
    The log's `words/trivial` is the entropy of the words that are hidden.
    """

    data: Data = "tfds:imagenet2012"
    encoder: str = "vit_b16"
    batch: Count = 2048
    epochs: float = 800
    warmup: float = 20
    learning_rate: float = 1.5e-3
    rate_per: Count | None = None
    final_rate: float = 0.0067
    """The code's 1e-5."""
    weight_decay: float = 0.05
    views: str = "mae"
    crop: tuple[Share, Share] = (0.08, 1.0)
    """Least and most share of an image that a crop shows."""
    clip: float = 3.0
    """The largest norm of the gradient."""
    drop_path: Share = 0.1
    """Stochastic depth of the last block, of each of the three networks."""
    layer_scale: float | None = 0.1
    """The first factor on each branch of a block; None: there is none."""
    words: Count = 8192
    """How many there are, without --teacher."""
    count: Count = 98
    """Patches hidden, of 196."""
    min_block: Count = 16
    """The least patches of a block of them."""
    regressor_depth: Count = 4
    """Blocks that predict latents."""
    decoder_depth: Count = 4
    """Blocks that predict words from them."""
    decoder_heads: Count = 12
    """Heads of both."""
    alignment: float = 2.0
    """Weight of the latents' distance from those of the hidden patches alone."""

    def build(self, data: DataInfo) -> Experiment:
        shared: dict[str, Any] = dict(drop_path=self.drop_path, layer_scale=self.layer_scale)
        own = shared | dict(positions=sincos_positions_rows_first, kernel_init=xavier)
        network = self.network(hides="visible", qkv_bias=(True, False, True), **own)
        teacher, words = self.tokenizer(data, network, words=self.words)
        shared |= dict(heads=self.decoder_heads, attend=self.attend)
        method = cae(
            network,
            teacher.network,
            words=words,
            regressor=LatentRegressor(self.regressor_depth, **shared),
            decoder=LatentDecoder(words, self.decoder_depth, **shared),
            alignment=self.alignment,
            count=self.count,
            min_block=self.min_block,
        )
        decayed = adamw(self.rate(data), weight_decay=self.weight_decay, decays=weights_and_tokens)
        return self.experiment(
            data,
            method,
            optimizer=optax.chain(clip_by_global_norm(self.clip), decayed),
            network=network,
            views=self.make_views(data, scale=self.crop),
            given=teacher.given,
        )


SOURCES = {
    "": "lxtGH/CAE, scripts/cae_base_800e.sh and tools/run_pretraining.py",
    "views": "furnace/datasets.py",
    "batch": "the script's 64 on 32 GPUs",
    "alignment": "the script; there of the encoder of one step before, with stochastic depth",
    "words": "tools/run_pretraining.py, of DALL-E's tokenizer, which sees a copy of 112 pixels",
}

demo = CAE(
    encoder="vit_n4",
    data="scenes:color",
    size=24,
    batch=64,
    epochs=10,
    steps=600,
    warmup=1,
    final_rate=0.0,
    crop=(0.2, 1.0),
    drop_path=0.0,
    layer_scale=None,
    words=256,
    count=18,
    min_block=3,
    regressor_depth=2,
    decoder_depth=1,
    decoder_heads=3,
)

if __name__ == "__main__":
    main(demo)
