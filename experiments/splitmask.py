"""SplitMask, arXiv:2112.10740."""

from dataclasses import dataclass

from jssl.methods import splitmask
from jssl.models import MaskedDecoder, WordDecoder, sincos_positions, xavier
from jssl.optim import adamw
from jssl.run import Count, Data, DataInfo, Experiment, Share, Training, main


@dataclass(frozen=True)
class SplitMask(Training):
    """SplitMask: each half of an image's patches predicts the discrete tokens of the other, and both match.
    arXiv:2112.10740

    jssl train splitmask --demo                                             # a few minutes on a CPU
    jssl train splitmask --data tfds:imagenet2012 --out gs://bucket/split   # on a pod

    The paper: ViT-B/16, ImageNet, 300 epochs: fine-tuned 83.6 %, quoted from memory. No code is published:
    what the paper says is the halves, the two losses, a decoder of two blocks and words without a trained
    tokenizer; other numbers are from memory of its paper or BEiT's, or our own choice, as told beside each.
    The log's `words/unigram` is the loss of a half that only knows how often words are; there are two.
    """

    data: Data = "tfds:imagenet2012"
    encoder: str = "vit_b16"
    batch: Count = 2048
    epochs: float = 300
    warmup: float = 10
    learning_rate: float = 1.5e-3
    rate_per: Count | None = None
    final_rate: Share = 0.007
    """BEiT's 1e-5."""
    weight_decay: float = 0.05
    views: str = "mae"
    words: Count = 8192
    """In the vocabulary, random directions of a patch's pixels."""
    match: float = 1.0
    """Weight of the contrast of the halves."""
    temperature: float = 0.2
    """Of the contrast."""
    decoder_dim: Count = 512
    """Width of the decoder."""
    decoder_depth: Count = 2
    """Its blocks."""
    decoder_heads: Count = 16
    """Its heads."""

    def build(self, data: DataInfo) -> Experiment:
        network = self.network(hides="visible", positions=sincos_positions, kernel_init=xavier)
        sizes = self.decoder_dim, self.decoder_depth, self.decoder_heads
        tokens = MaskedDecoder(None, *sizes, attend=self.attend)
        method = splitmask(
            network,
            words=self.words,
            decoder=WordDecoder(self.words, tokens),
            match=self.match,
            temperature=self.temperature,
        )
        optimizer = adamw(self.rate(data), weight_decay=self.weight_decay)
        return self.experiment(data, method, optimizer=optimizer, network=network)


SOURCES = {
    "": "from memory, as BEiT's",
    "encoder": "the paper",
    "epochs": "the paper, from memory",
    "views": "our own choice, as MAE",
    "match": "our own choice",
    "temperature": "our own choice",
    "decoder_dim": "our own choice, as MAE",
    "decoder_depth": "the paper",
    "decoder_heads": "our own choice, as MAE",
}

demo = SplitMask(
    encoder="vit_n4",
    data="scenes:color",
    size=24,
    batch=64,
    epochs=10,
    steps=500,
    warmup=1,
    learning_rate=1e-3,
    final_rate=0.0,
    words=256,
    decoder_dim=64,
    decoder_heads=4,
)

if __name__ == "__main__":
    main(demo)
