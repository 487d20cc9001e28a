"""One table of all methods, each with a toy encoder: `test_laws.py` asks every one of them."""

from tests.law_rows.comparing import COMPARING
from tests.law_rows.predicting import PREDICTING

TABLE = COMPARING | PREDICTING
TAUGHT = set(  # who has a teacher that moves
    (
        "moco_v1 moco_v2 moco_v3 infomin ressl pcl byol obow smog dino esvit ibot attmask dinov2 "
        "dinov2_distill dinov3 msn i_jepa data2vec sdae cmae sit"
    ).split()
)
MASKED = (
    "ibot attmask dinov2 dinov2_distill dinov3 mae simmim simmim_swin beit maskfeat eva i_jepa data2vec sdae "
    "splitmask cmae mim_contrast"
).split()
