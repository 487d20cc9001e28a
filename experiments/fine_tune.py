"""Fine-tuning, as MAE, arXiv:2111.06377, and BEiT do it."""

from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from jssl.data.views.labelled import mixed
from jssl.methods import supervised
from jssl.methods.labels import class_logits
from jssl.models import linear_head, read_normed_mean
from jssl.models.freezing import frozen
from jssl.optim import adamw
from jssl.run import Count, Data, DataInfo, Experiment, Share, Training, main

FIRST = 2e-5  # deviation of the classifier's first weights: MAE's main_finetune.py, and BEiT's 0.02 * 0.001


@dataclass(frozen=True)
class FineTune(Training):
    """Fine-tuning: a pretrained encoder is trained with labels, its first layers at the lowest rate.
    arXiv:2111.06377

    jssl train fine_tune --demo                                             # a few minutes on a CPU
    jssl train fine_tune --start mae_vitb16 --data folder:/images --batch 128
    jssl train fine_tune --start dinov2_vits14 --data folder:/images --per-class 10 --batch 32
    jssl train fine_tune --start runs/dino --frozen --learning-rate 1e-2    # the head alone

    The paper: MAE's ViT-B/16, batch 1024, ImageNet, 100 epochs: 83.6 % top-1.
    """

    data: Data = "tfds:imagenet2012"
    encoder: str = "vit_b16"
    batch: Count = 1024
    epochs: float = 100
    warmup: float = 5
    learning_rate: float = 5e-4
    rate_per: Count | None = 256
    continued_rate: Share = 1.0
    final_rate: Share = 0.0005
    """The code's 1e-6."""
    layer_decay: Share | None = 0.65
    weight_decay: float = 0.05
    views: str = "fine_tuning"
    magnitude: float = 9
    """Of RandAugment, up to 10; 0 for none."""
    erasing: Share = 0.25
    """How often a rectangle of an image is filled with noise."""
    mixup: float = 0.8
    """Alpha of mixup, 0 for none."""
    cutmix: float = 1.0
    """Alpha of cutmix, 0 for none."""
    smoothing: Share = 0.1
    """Share of a target that is spread over all classes."""
    drop_path: Share = 0.1
    """Stochastic depth of the last block."""
    pool: Literal["mean", "own"] = "mean"
    """What a ViT's head reads: the mean of the patch tokens, then normalised, or the encoder's own vector;
    with --frozen always the latter.
    """
    frozen: bool = False
    """Train the head alone, on the encoder of --start as it is."""

    def build(self, data: DataInfo) -> Experiment:
        if data.classes < 2:
            raise ValueError(
                f"--data {data.name} has {data.classes} classes; fine-tuning needs labels of two at least"
            )
        if self.frozen and self.start is None:
            raise ValueError("--frozen trains a head on weights as they are; give --start")
        encoder = self.network(where_it_has=dict(drop_path=0.0 if self.frozen else self.drop_path))
        if self.pool == "mean" and hasattr(encoder, "readout") and not self.frozen:
            encoder = encoder.clone(readout=read_normed_mean)
        head = linear_head(data.classes, deviation=0.01 if self.frozen else FIRST)
        method = supervised(frozen(encoder) if self.frozen else encoder, data.classes, head=head)
        strong = self.make_views(data, magnitude=self.magnitude, erasing=self.erasing)
        soft = dict(mixup=self.mixup, cutmix=self.cutmix, smoothing=self.smoothing)
        layers = replace(self, layer_decay=1.0) if self.frozen else self
        return layers.experiment(
            data,
            method,
            optimizer=adamw(self.rate(data), weight_decay=self.weight_decay),
            views=mixed(strong, data.classes, **soft),
            network=encoder,
            logits=partial(class_logits, method, head=head),
        )


SOURCES = {
    "": "facebookresearch/mae, FINETUNE.md",
    "continued_rate": "ours: the rate is fine-tuning's own",
    "final_rate": "main_finetune.py, min_lr",
    "magnitude": "main_finetune.py, rand-m9, of timm's 10",
    "erasing": "FINETUNE.md, reprob",
    "pool": "main_finetune.py, global_pool",
    "frozen": "ours",
}

demo = FineTune(
    encoder="vit_n4",
    data="scenes:color",
    size=24,
    batch=64,
    epochs=10,
    steps=400,
    warmup=1,
    learning_rate=1e-3,
    rate_per=None,
    final_rate=0.0,
    layer_decay=1.0,
    magnitude=0,
    erasing=0.0,
    mixup=0.2,
    cutmix=0.0,
    drop_path=0.0,
)

if __name__ == "__main__":
    main(demo)
