"""iBOT, arXiv:2111.07832."""

from dataclasses import dataclass

from jssl.methods import ibot
from jssl.methods.distillation import sometimes_blocks
from jssl.run import Count, Data, DataInfo, Experiment, SelfDistillation, Share, main


@dataclass(frozen=True)
class IBOT(SelfDistillation):
    """iBOT: DINO on the class token, and the same distillation on hidden patches.  arXiv:2111.07832

    jssl train ibot --demo                                                  # a few minutes on a CPU
    jssl train ibot --data tfds:imagenet2012 --out gs://bucket/ibot         # on a pod

    The paper: ViT-S/16, batch 1024, 2 x 224 + 10 x 96, ImageNet, 800 epochs: k-NN 75.2 %, linear 77.9 % on
    the class tokens of the last 4 blocks.
    """

    data: Data = "tfds:imagenet2012"
    encoder: str = "vit_s16"
    batch: Count = 1024
    epochs: float = 800
    warmup: float = 10
    learning_rate: float = 5e-4
    rate_per: Count | None = 256
    final_rate: float = 0.0005
    """The code's 1e-6."""
    weight_decay: float = 0.04
    final_weight_decay: float = 0.4
    views: str = "ibot"
    locals: int = 10
    prototypes: Count = 8192
    hidden: Count = 2048
    bottleneck: Count = 256
    momentum: Share = 0.996
    initial_teacher_temperature: float = 0.04
    teacher_temperature: float = 0.07
    temperature_warmup: float = 30
    learned_norm: bool = True
    frozen: float = 1
    clip: float = 3.0
    drop_path: Share = 0.1
    shared_head: bool = True
    """One head for class token and patches."""
    patch_weight: float = 1.0
    """Of the patches' term."""
    masked: Share = 0.5
    """Share of the views that hide patches."""
    mask_ratio: tuple[Share, Share] = (0.1, 0.5)
    """Least and most share of its patches that such a view hides."""

    def build(self, data: DataInfo) -> Experiment:
        network = self.network(hides="mask", where_it_has=self.encoder_settings())
        method = ibot(
            network,
            prototypes=self.prototypes,
            head=self.head(),
            shared_head=self.shared_head,
            masking=sometimes_blocks(network, ratio=self.mask_ratio, probability=self.masked),
            patch_weight=self.patch_weight,
            momentum=self.teacher_momentum(data),
            teacher_temperature=self.temperature(data),
            patch_temperature=self.temperature(data),
        )
        return self.distillation(data, method, network)


SOURCES = {
    "": "bytedance/ibot, main_ibot.py and README, ViT-S/16",
    "mask_ratio": "README: pred_ratio 0.3, pred_ratio_var 0.2",
    "masked": "README: pred_ratio 0 or 0.3",
}

demo = IBOT(
    encoder="vit_n4",
    scan=True,
    data="scenes:color",
    size=24,
    views="crops",
    batch=64,
    epochs=10,
    steps=200,
    warmup=1,
    learning_rate=2e-3,
    rate_per=None,
    final_rate=0.0,
    prototypes=512,
    learned_norm=False,
    locals=0,
    momentum=0.99,
    temperature_warmup=0,
    masked=0.3,
    mask_ratio=(0.05, 0.2),
    frozen=0.5,
    hidden=256,
    bottleneck=64,
    head_norm=True,
)

if __name__ == "__main__":
    main(demo)
