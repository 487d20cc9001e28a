"""A tokenizer for BEiT and its kin, after DALL-E's, arXiv:2102.12092."""

from dataclasses import dataclass

from jssl.methods import tokenizer
from jssl.models import TokenDecoder
from jssl.optim import adamw
from jssl.run import Count, Data, DataInfo, Experiment, Training, main


@dataclass(frozen=True)
class Tokenizer(Training):
    """A tokenizer: an image is reconstructed from one word (discrete token) for each patch.  arXiv:2102.12092

    jssl train tokenizer --demo                                             # a minute on a CPU
    jssl train beit --demo --teacher runs/tokenizer-demo                     # predicts its words

    The paper: DALL-E's tokenizer has 8192 words for 8 x 8 pixels, from 250 million images, which are not
    published. The network is that which BEiT's code can train in its place; the run is our own choice. The
    log's `usage` is the entropy of the words in use as a share of the most that it can be.
    """

    data: Data = "tfds:imagenet2012"
    encoder: str = "words16"
    batch: Count = 512
    epochs: float = 30
    warmup: float = 1
    learning_rate: float = 1e-3
    rate_per: Count | None = None
    final_rate: float = 0.01
    weight_decay: float = 0.0
    views: str = "mae"
    words: Count = 8192
    """How many there are."""
    width: Count = 64
    """Of the convolutions."""
    dim: Count = 512
    """Width of a word's vector."""
    temperature: float = 0.9
    """Of the Gumbel-softmax by which words are drawn."""
    uniform_weight: float = 0.01
    """Of the divergence of the words' probabilities from uniform ones."""

    def build(self, data: DataInfo) -> Experiment:
        network = self.network(words=self.words, width=self.width)
        decoder = TokenDecoder(network.patch, self.dim, self.width, data.image[-1])
        settings = dict(temperature=self.temperature, uniform_weight=self.uniform_weight)
        method = tokenizer(network, decoder, **settings)
        optimizer = adamw(self.rate(data), weight_decay=self.weight_decay)
        return self.experiment(data, method, optimizer=optimizer, network=network)


SOURCES = {
    "": "our own choice",
    "encoder": "microsoft/unilm, beit/modeling_discrete_vae.py: there 3 halvings of a copy of 112 pixels",
    "width": "beit/modeling_discrete_vae.py",
    "dim": "beit/modeling_discrete_vae.py",
    "temperature": "beit/modeling_discrete_vae.py; DALL-E's falls to 1/16",
    "words": "the paper",
}

demo = Tokenizer(
    encoder="words4",
    data="scenes:color",
    size=24,
    batch=64,
    epochs=10,
    steps=400,
    warmup=1,
    words=64,
    width=32,
    dim=64,
)

if __name__ == "__main__":
    main(demo)
