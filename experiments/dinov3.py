"""DINOv3, arXiv:2508.10104."""

from dataclasses import dataclass

from jssl.methods import dinov2, dinov3
from jssl.methods.balanced import stratified_blocks
from jssl.run import AnchoredDistillation, Count, Data, DataInfo, Experiment, Share, main


@dataclass(frozen=True)
class DINOv3(AnchoredDistillation):
    """DINOv3: DINOv2 with rotary positions and constant schedules; later, Gram anchoring keeps the
    similarities between patches close to an earlier teacher's.  arXiv:2508.10104

    jssl train dinov3 --demo                                                # a few minutes on a CPU
    jssl train dinov3 --data folder:photos --out runs/first
    jssl train dinov3 --data folder:photos --start runs/first --gram-weight 2 --gram-size 512 --warmup 0

    The paper: ViT-7B/16, batch 4096, 2 x 256 + 8 x 112, 1,689 million images, 1,000,000 steps; then 200,000
    with the last line's Gram anchoring, a rate of 2.4e-4 and momentum 0.999. An epoch is 1000 steps.
    """

    data: Data = "folder:images"
    encoder: str = "vit_7b16"
    size: Count | None = 256
    batch: Count = 4096
    epochs: float = 1000
    steps: Count | None = 1_000_000
    warmup: float = 100
    learning_rate: float = 2e-4
    rate_per: Count | None = 1024
    final_rate: Share = 1.0
    weight_decay: float = 0.04
    final_weight_decay: float = 0.04
    second_moment: Share = 0.99
    stem_rate: Share = 0.2
    layer_decay: Share | None = 0.98
    clip: float = 30.0
    views: str = "dinov3"
    locals: int = 8
    local_size: Count | None = 112
    mask_ratio: tuple[Share, Share] = (0.1, 0.5)
    prototypes: Count = 262144
    hidden: Count = 8192
    bottleneck: Count = 512
    patch_prototypes: Count = 98304
    patch_hidden: Count = 4096
    patch_bottleneck: Count = 384
    learned_norm: bool = True
    frozen: float = 5
    patch_weight: float = 1.0
    koleo_weight: float = 0.1
    koleo_group: Count | None = 16
    momentum: Share = 0.994
    final_momentum: Share = 0.994
    initial_teacher_temperature: float = 0.04
    teacher_temperature: float = 0.07
    temperature_warmup: float = 100
    drop_path: Share = 0.4
    layer_scale: float = 1e-5
    swiglu: bool = False
    registers: int = 4
    shift: float = 0.0
    jitter: float = 1.0
    rescale: float = 2.0
    gram_weight: float = 0.0
    gram_every: float = 10
    gram_times: int = 3
    gram_size: Count | None = None

    def build(self, data: DataInfo) -> Experiment:
        network = self.moving(self.network(hides="mask", where_it_has=self.encoder_settings()))
        how = dict(masking=stratified_blocks(network, ratio=self.mask_ratio), **self.distills(data))
        how |= self.anchors(data) if self.gram_weight else {}
        return self.distillation(data, (dinov3 if self.gram_weight else dinov2)(network, **how), network)


SOURCES = {
    "": "facebookresearch/dinov3, configs/train/dinov3_vit7b16_pretrain.yaml",
    "batch": "README: 32 nodes of 8 GPUs; batch_size_per_gpu 16",
    "learning_rate": "train/train.py, sqrt_wrt_1024: 5e-5 times 4 times the root of the batch over 1024",
    "registers": "n_storage_tokens; the local class tokens' own norm and fp8 are left out",
    "rescale": "drawn once for a call, where the code draws for each block",
    "gram_every": "update_frequency 10000, max_updates 3",
    "gram_weight": "dinov3_vit7b16_gram_anchor.yaml: 2 in that stage; that of local crops, 0.5, is left at 1",
}

demo = DINOv3(
    encoder="vit_n4",
    data="scenes:color",
    size=24,
    views="crops",
    batch=64,
    epochs=10,
    steps=200,
    warmup=1,
    learning_rate=8e-3,
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
    final_momentum=1.0,
    temperature_warmup=0,
    drop_path=0.0,
    layer_scale=0.1,
    gram_weight=1.0,
    gram_every=5,
    head_norm=True,
)

if __name__ == "__main__":
    main(demo)
