"""DINO, arXiv:2104.14294."""

from dataclasses import dataclass

from jssl.methods import dino
from jssl.run import Count, Data, DataInfo, Experiment, SelfDistillation, Share, main


@dataclass(frozen=True)
class Dino(SelfDistillation):
    """DINO: a student predicts its teacher's centred, sharpened distribution from other views.
    arXiv:2104.14294

    jssl train dino --demo                                                  # a few minutes on a CPU
    jssl train dino --data tfds:cifar10 --encoder vit_ti4 --batch 256
    jssl train dino --data folder:/images --out gs://bucket/dino       # on a pod: the same line on every host

    The paper: ViT-S/16, batch 512, 2 x 224 + 8 x 96, ImageNet, 100 epochs: k-NN 69.3 %, linear 74.0 %; 1.75
    days on 8 V100.
    """

    data: Data = "tfds:imagenet2012"
    encoder: str = "vit_s16"
    batch: Count = 512
    epochs: float = 100
    warmup: float = 10
    learning_rate: float = 5e-4
    rate_per: Count | None = 256
    final_rate: float = 0.0
    weight_decay: float = 0.04
    final_weight_decay: float = 0.4
    views: str = "dino"
    locals: int = 8
    prototypes: Count = 65536
    hidden: Count = 2048
    bottleneck: Count = 256
    momentum: Share = 0.996
    initial_teacher_temperature: float = 0.04
    teacher_temperature: float = 0.04
    temperature_warmup: float = 0
    frozen: float = 1

    def build(self, data: DataInfo) -> Experiment:
        network = self.network(drop_path=0.1)
        method = dino(
            network,
            prototypes=self.prototypes,
            head=self.head(),
            momentum=self.teacher_momentum(data),
            teacher_temperature=self.temperature(data),
        )
        views = self.make_views(data, locals=self.locals)
        return self.experiment(data, method, optimizer=self.optimizer(data), views=views, network=network)


demo = Dino(
    encoder="vit_n4",
    scan=True,
    data="scenes:color",
    size=24,
    views="crops",
    batch=64,
    epochs=10,
    steps=250,
    warmup=1,
    learning_rate=2e-3,
    rate_per=None,
    prototypes=512,
    locals=0,
    momentum=0.99,
    teacher_temperature=0.07,
    frozen=0.5,
    hidden=256,
    bottleneck=64,
    head_norm=True,
)

if __name__ == "__main__":
    main(demo)
