"""Rows of methods that compare views: contrastive, without negatives, clustering, self-distillation."""

from functools import partial

from jssl import methods, models
from tests.law_toys import (
    BALANCED,
    BATCH,
    CROPS,
    ONE,
    SMALL,
    TWO,
    Row,
    labelled,
    larger,
    noisy,
    small_resnet,
    tiled,
    vit,
    with_whole,
)

COMPARING = {
    "simclr": Row(lambda: methods.simclr(vit(), head=models.simclr_head(8, **SMALL)), TWO),
    "simclr_v2": Row(
        lambda: methods.simclr_v2(vit(), head=models.simclr_head(8, layers=3, **SMALL), temperature=0.5),
        TWO,
    ),
    "dcl": Row(lambda: methods.dcl(vit(), head=models.simclr_head(8, **SMALL)), TWO),
    "nnclr": Row(
        lambda: methods.nnclr(
            vit(),
            head=models.nnclr_head(8, **SMALL),
            predictor=models.nnclr_predictor(8, **SMALL),
            queue=16,
        ),
        TWO,
    ),
    "moco_v1": Row(
        lambda: methods.moco_v1(vit(), head=models.moco_head(8, hidden=None), queue=16, momentum=0.9), TWO
    ),
    "npid": Row(
        lambda: methods.npid(vit(), examples=BATCH, head=models.moco_head(8, hidden=None), negatives=0), ONE
    ),
    "npid_noise": Row(
        lambda: methods.npid(
            vit(), examples=512, head=models.moco_head(8, hidden=None), negatives=5, temperature=0.5
        ),
        ONE,
    ),
    "invariant_spreading": Row(
        lambda: methods.invariant_spreading(vit(), head=models.moco_head(8, hidden=None)), TWO
    ),
    "moco_v2": Row(
        lambda: methods.moco_v2(vit(), head=models.moco_head(8, **SMALL), queue=16, momentum=0.9), TWO
    ),
    "moco_v3": Row(
        lambda: methods.moco_v3(
            vit(),
            head=models.moco_v3_head(8, **SMALL),
            predictor=models.moco_v3_head(8, layers=2, **SMALL),
            momentum=0.9,
        ),
        TWO,
    ),
    "infomin": Row(
        lambda: methods.infomin(
            vit(),
            head=models.moco_head(8, **SMALL),
            tile=models.moco_head(4, **SMALL),
            join=models.moco_head(8, hidden=None),
            queue=16,
            momentum=0.9,
        ),
        tiled,
    ),
    "ressl": Row(
        lambda: methods.ressl(vit(), head=models.moco_head(8, **SMALL), queue=16, momentum=0.9), TWO
    ),
    "byol": Row(
        lambda: methods.byol(
            vit(), head=models.byol_head(8, **SMALL), predictor=models.byol_head(8, **SMALL)
        ),
        TWO,
    ),
    "simsiam": Row(
        lambda: methods.simsiam(
            vit(), head=models.simsiam_head(8, **SMALL), predictor=models.simsiam_predictor(8, hidden=4)
        ),
        TWO,
    ),
    "barlow_twins": Row(lambda: methods.barlow_twins(vit(), head=models.barlow_head(8, **SMALL)), TWO),
    "vicreg": Row(lambda: methods.vicreg(vit(), head=models.vicreg_head(8, **SMALL)), TWO),
    "swav": Row(
        lambda: methods.swav(vit(), prototypes=6, head=models.swav_head(8, **SMALL), queue=16, queue_start=1),
        CROPS,
    ),
    "deepcluster_v2": Row(
        lambda: methods.deepcluster_v2(
            vit(), examples=BATCH, clusters=(3, 4, 3), head=models.swav_head(8, **SMALL)
        ),
        CROPS,
    ),
    "obow": Row(
        lambda: methods.obow(small_resnet(), levels=("layer2",), words=16, momentum=0.9),
        with_whole(noisy(2, 1)),
    ),
    "smog": Row(
        lambda: methods.smog(
            vit(),
            prototypes=4,
            head=models.moco_v3_head(8, layers=2, **SMALL),
            predictor=models.swav_head(8, **SMALL),
            temperature=1.0,
            momentum=0.9,
            recent=16,
            restart=100,
        ),
        TWO,
    ),
    "pcl": Row(
        lambda: methods.pcl(
            vit(), examples=BATCH, clusters=(3, 4), head=models.moco_head(8, **SMALL), queue=16, momentum=0.9
        ),
        TWO,
    ),
    "dino": Row(
        lambda: methods.dino(
            vit(), prototypes=8, head=partial(models.dino_head, bottleneck=8, **SMALL), momentum=0.9
        ),
        CROPS,
    ),
    "esvit": Row(
        lambda: methods.esvit(
            models.Swin(patch=2, dim=8, depths=(1, 1), heads=(1, 2), window=2),
            prototypes=8,
            head=partial(models.dino_head, bottleneck=8, **SMALL),
            momentum=0.9,
        ),
        CROPS,
    ),
    "ibot": Row(
        lambda: methods.ibot(
            vit(), prototypes=8, head=partial(models.dino_head, bottleneck=8, **SMALL), momentum=0.9
        ),
        CROPS,
    ),
    "msn": Row(
        lambda: methods.msn(vit(), prototypes=6, head=models.msn_head(8, **SMALL), momentum=0.9), CROPS
    ),
    "attmask": Row(
        lambda: methods.attmask(
            vit(),
            hides="hint",
            probability=1.0,
            prototypes=8,
            head=partial(models.dino_head, bottleneck=8, **SMALL),
            momentum=0.9,
        ),
        CROPS,
    ),
    "dinov2": Row(lambda: methods.dinov2(vit(), **BALANCED), CROPS),
    "dinov2_distill": Row(lambda: methods.dinov2_distill(vit(), larger(), **BALANCED), CROPS),
    "dinov3": Row(
        lambda: methods.dinov3(
            vit(positions=None, rotary=models.MovingRotary(rescale=2.0), registers=2),
            refreshed=lambda step: step == 1,
            **BALANCED,
        ),
        CROPS,
    ),
    "supcon": Row(lambda: methods.supcon(vit(), head=models.moco_head(8, **SMALL)), labelled(TWO)),
}
