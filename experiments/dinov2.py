"""DINOv2, arXiv:2304.07193."""

from dataclasses import dataclass

from jssl.methods import dinov2
from jssl.methods.balanced import stratified_blocks
from jssl.run import BalancedDistillation, Count, Data, DataInfo, Experiment, Share, main


@dataclass(frozen=True)
class DINOv2(BalancedDistillation):
    """DINOv2: DINO on images and iBOT on hidden patches, with separate heads and balanced targets; KoLeo
    spreads images.  arXiv:2304.07193

    jssl train dinov2 --demo                                                # a few minutes on a CPU
    jssl train dinov2 --data folder:photos --start dinov2_vits14_reg --batch 64 --koleo-group 16 --steps 5000
    jssl train dinov2 --data folder:photos --start runs/dinov2 --size 518 --steps 10000 --out runs/finish

    The last line is the paper's finish in high resolution: encoder and heads of the first run, positions
    resized, the same schedules in few steps.

    The paper: ViT-L/14, batch 3072, 2 x 224 + 8 x 98, ImageNet-22k, 625,000 steps: k-NN 82.0 %, linear
    84.5 %; 3.3 days on 96 A100. An epoch is the authors' 1250 steps.
    """

    data: Data = "folder:imagenet22k"
    encoder: str = "vit_l14"
    batch: Count = 3072
    epochs: float = 500
    steps: Count | None = 625_000
    warmup: float = 80
    learning_rate: float = 2e-4
    """At a batch of 1024; scaled by the root of the batch."""
    rate_per: Count | None = 1024
    final_rate: Share = 0.0029
    """The code's 1e-6."""
    weight_decay: float = 0.04
    final_weight_decay: float = 0.2
    second_moment: Share = 0.999
    stem_rate: Share = 0.2
    clip: float = 3.0
    views: str = "dinov2"
    locals: int = 8
    local_size: Count | None = 98
    mask_ratio: tuple[Share, Share] = (0.1, 0.5)
    prototypes: Count = 131072
    hidden: Count = 2048
    bottleneck: Count = 384
    patch_prototypes: Count = 131072
    patch_hidden: Count = 2048
    patch_bottleneck: Count = 256
    learned_norm: bool = True
    frozen: float = 1
    patch_weight: float = 1.0
    koleo_weight: float = 0.1
    koleo_group: Count | None = 32
    momentum: Share = 0.994
    final_momentum: Share = 1.0
    initial_teacher_temperature: float = 0.04
    teacher_temperature: float = 0.07
    temperature_warmup: float = 30
    drop_path: Share = 0.4
    layer_scale: float = 1e-5
    swiglu: bool = True
    registers: int = 0

    def build(self, data: DataInfo) -> Experiment:
        network = self.network(hides="mask", where_it_has=self.encoder_settings())
        masking = stratified_blocks(network, ratio=self.mask_ratio)
        return self.distillation(data, dinov2(network, masking=masking, **self.distills(data)), network)


SOURCES = {
    "": "facebookresearch/dinov2, configs/train/vitl14.yaml over ssl_default_config.yaml",
    "steps": "500 epochs of OFFICIAL_EPOCH_LENGTH 1250",
    "batch": "README, long setup: 12 nodes of 8 GPUs; batch_size_per_gpu 32",
    "koleo_group": "batch_size_per_gpu; KoLeoLoss sees one GPU's images",
    "learned_norm": "dino_head.py: weight_g stays a parameter",
    "clip": "train.py: the norm of each of backbone and heads",
    "mask_ratio": "one view of each image, where the authors draw half of a batch's views",
}

demo = DINOv2(
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
    locals=0,
    local_size=None,
    mask_ratio=(0.05, 0.2),
    prototypes=512,
    hidden=256,
    bottleneck=64,
    patch_prototypes=512,
    patch_hidden=256,
    patch_bottleneck=64,
    frozen=0.5,
    koleo_group=None,
    momentum=0.99,
    temperature_warmup=0,
    drop_path=0.0,
    layer_scale=0.1,
    swiglu=False,
    head_norm=True,
)

if __name__ == "__main__":
    main(demo)
