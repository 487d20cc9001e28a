"""Pure losses, arrays in and arrays out, and the pairs that remember."""

from jssl.objectives.alignment import negative_cosine_similarity, normalized_mse
from jssl.objectives.base import Memory, Metrics, Objective, Outputs, stateless, weighted_sum
from jssl.objectives.contrastive import (
    decoupled_nt_xent,
    info_nce,
    nt_xent,
    sigmoid_pairwise,
    supervised_contrastive,
    symmetric_info_nce,
)
from jssl.objectives.distillation import (
    cross_view_cross_entropy,
    dino_cross_entropy,
    masked_cross_entropy,
    masked_mean,
    masked_patch_distillation,
    update_center,
)
from jssl.objectives.instances import instance_discrimination
from jssl.objectives.patches import hog, patchify, sincos_position_embedding, unpatchify
from jssl.objectives.prototypes import proto_nce
from jssl.objectives.queues import enqueue, nearest_neighbour, relational_consistency
from jssl.objectives.reconstruction import masked_reconstruction, masked_token_cross_entropy
from jssl.objectives.redundancy import barlow_twins, koleo, vicreg
from jssl.objectives.siamese import masked_siamese
from jssl.objectives.sinkhorn import sinkhorn_knopp, swapped_prediction
