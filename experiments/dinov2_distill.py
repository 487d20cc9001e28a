"""DINOv2's distillation, arXiv:2304.07193."""

from dataclasses import dataclass

from jssl.methods import dinov2_distill
from jssl.methods.balanced import stratified_blocks
from jssl.models import encoder
from jssl.run import BalancedDistillation, Count, Data, DataInfo, Experiment, Share, Taught, Weights, main
from jssl.run.settings.experiment import AS_DRAWN


@dataclass(frozen=True)
class DINOv2Distill(BalancedDistillation, Taught):
    """DINOv2's small models: a student predicts the outputs of a frozen large network's heads for the same
    views; the student's running mean is kept.  arXiv:2304.07193

    jssl train dinov2_distill --demo --teacher runs/dinov2-demo     # of `jssl train dinov2 --demo`, or random
    jssl train dinov2_distill --data folder:photos --teacher runs/dinov2 --encoder vit_s14

    The paper: ViT-S/14 from ViT-g/14, 142 million images: k-NN 79.0 %, linear 81.1 %; ViT-B/14 82.1 % and
    84.5 %, ViT-L/14 83.5 % and 86.3 %. What its table 16 leaves out of this stage is the teacher's.
    """

    data: Data = "folder:imagenet22k"
    encoder: str = "vit_s14"
    teacher: Weights | None = None
    """A run of dinov2 or a checkpoint with heads, whose sizes the settings repeat; random: as it is drawn."""
    teacher_encoder: str = "vit_g14"
    """Its network, where no weights say it."""
    batch: Count = 2048
    epochs: float = 500
    steps: Count | None = 625_000
    warmup: float = 80
    learning_rate: float = 1e-3
    rate_per: Count | None = 2048
    final_rate: Share = 0.001
    weight_decay: float = 0.04
    final_weight_decay: float = 0.2
    second_moment: Share = 0.999
    stem_rate: Share = 0.2
    clip: float = 3.0
    views: str = "dinov2"
    locals: int = 8
    local_size: Count | None = 98
    mask_ratio: tuple[Share, Share] = (0.1, 0.5)
    """Least and most share of a view's patches of which the teacher is asked; the student sees them."""
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
    drop_path: Share = 0.0
    layer_scale: float = 1e-5
    swiglu: bool = False
    registers: int = 0

    def build(self, data: DataInfo) -> Experiment:
        network = self.network(where_it_has=self.encoder_settings())
        image, patch = self.head()(self.prototypes), self.patch_head()(self.patch_prototypes)
        heads = self.taught_heads(image=image, patch=patch)
        large = encoder(self.teacher_encoder) if self.taught_by is None else self.taught_by.encoder
        teacher = self.frozen_teacher(data, large, at="teacher", heads=heads)
        masking = stratified_blocks(network, ratio=self.mask_ratio)
        method = dinov2_distill(network, teacher.network, masking=masking, **self.distills(data))
        return self.distillation(data, method, network)._replace(given=teacher.given)


SOURCES = {
    "": "facebookresearch/dinov2, configs/train/vitl14.yaml: the paper's section 5 keeps the training loop",
    "encoder": "README: S, B and L are distilled from ViT-g/14",
    "drop_path": "section 5: no stochastic depth and no masks on the student",
    "mask_ratio": "facebookresearch/dinov3, ssl_meta_arch.py: heads at masked places, student without masks",
    "swiglu": "README: plain layers in S, B and L",
}
SOURCES |= dict.fromkeys(("batch", "steps", "warmup", "learning_rate", "rate_per"), "the paper, table 16")

demo = DINOv2Distill(
    encoder="vit_n4",
    teacher_encoder="vit_n4",
    teacher=AS_DRAWN,
    data="scenes:color",
    size=24,
    views="crops",
    batch=64,
    epochs=10,
    steps=200,
    warmup=1,
    learning_rate=2e-3,
    rate_per=None,
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
    layer_scale=0.1,
    head_norm=True,
)

if __name__ == "__main__":
    main(demo)
