"""EsViT, arXiv:2106.09785."""

from dataclasses import dataclass

from jssl.methods import esvit
from jssl.run import Count, Data, DataInfo, Experiment, SelfDistillation, Share, main


@dataclass(frozen=True)
class EsViT(SelfDistillation):
    """EsViT: DINO on a multi-stage transformer, and regions predict those that match them in other views.
    arXiv:2106.09785

    jssl train esvit --demo                                                 # a few minutes on a CPU
    jssl train esvit --data tfds:imagenet2012 --out gs://bucket/esvit       # on a pod

    The paper: Swin-T with windows of 7, batch 512, 2 x 224 + 8 x 96, ImageNet, 300 epochs: k-NN 75.7 %,
    linear 78.0 % (without regions 74.2 % and 77.0 %).
    """

    data: Data = "tfds:imagenet2012"
    encoder: str = "swin_t"
    batch: Count = 512
    epochs: float = 300
    warmup: float = 10
    learning_rate: float = 5e-4
    rate_per: Count | None = 256
    final_rate: float = 0.001
    """The code's 1e-6."""
    weight_decay: float = 0.04
    final_weight_decay: float = 0.4
    views: str = "dino"
    locals: int = 8
    prototypes: Count = 65536
    hidden: Count = 2048
    bottleneck: Count = 256
    region_weight: Share = 0.5
    """Of the regions' term; the views' has the rest."""
    momentum: Share = 0.996
    initial_teacher_temperature: float = 0.04
    teacher_temperature: float = 0.07
    temperature_warmup: float = 30
    learned_norm: bool = True
    frozen: float = 1
    clip: float = 3.0
    drop_path: Share = 0.1

    def build(self, data: DataInfo) -> Experiment:
        network = self.network(where_it_has=self.encoder_settings())
        momentum, temperature, head = self.teacher_momentum(data), self.temperature(data), self.head()
        method = esvit(
            network,
            prototypes=self.prototypes,
            head=head,
            region_weight=self.region_weight,
            momentum=momentum,
            teacher_temperature=temperature,
        )
        return self.distillation(data, method, network)


SOURCES = {
    "": "microsoft/esvit, README and main_esvit.py",
    "batch": "README: 16 GPUs of 32",
    "drop_path": "experiments/imagenet/swin/swin_tiny_patch4_window7_224.yaml",
}

demo = EsViT(
    encoder="swin_n",
    data="scenes:color",
    size=32,
    views="crops",
    batch=64,
    epochs=10,
    steps=250,
    warmup=1,
    learning_rate=2e-3,
    rate_per=None,
    final_rate=0.0,
    prototypes=512,
    locals=2,
    momentum=0.99,
    frozen=0.5,
    temperature_warmup=1,
    hidden=256,
    bottleneck=64,
    head_norm=True,
)

if __name__ == "__main__":
    main(demo)
