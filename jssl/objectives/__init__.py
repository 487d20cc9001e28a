"""Pure losses, arrays in and arrays out, and the pairs that remember. A system's loss is in the file of its
name.
"""

from jssl.arrays.patches import patchify, sincos_position_embedding, unpatchify
from jssl.objectives.alignment import negative_cosine_similarity, normalized_mse
from jssl.objectives.base import Memory, Metrics, Objective, Outputs, named, stateless, value_at, weighted_sum
from jssl.objectives.cached import cached_gradients, microbatched
from jssl.objectives.clusters import Clusters, concentration, kmeans, lloyd, random_rows, spread_rows
from jssl.objectives.contrastive import (
    decoupled_nt_xent,
    info_nce,
    nt_xent,
    scaled_info_nce,
    sigmoid_pairwise,
    supervised_contrastive,
    symmetric_info_nce,
)
from jssl.objectives.dino import centered, dino_cross_entropy, update_center, view_distillation
from jssl.objectives.dinov2 import balanced_patch_distillation, balanced_view_distillation
from jssl.objectives.gradients import hog
from jssl.objectives.ibot import masked_cross_entropy, masked_patch_distillation, patch_distillation
from jssl.objectives.infomin import tile_contrast
from jssl.objectives.moco import enqueue, queue_contrast
from jssl.objectives.msn import masked_siamese, masked_siamese_objective
from jssl.objectives.nnclr import nearest_neighbour, neighbour_contrast
from jssl.objectives.npid import instance_discrimination, instance_memory
from jssl.objectives.pcl import proto_nce, prototype_contrast, refresh, remember
from jssl.objectives.reconstruction import masked_mean, masked_reconstruction, masked_token_cross_entropy
from jssl.objectives.redundancy import barlow_twins, koleo, vicreg
from jssl.objectives.ressl import relational, relational_consistency
from jssl.objectives.sinkhorn import sinkhorn_knopp
from jssl.objectives.soft_labels import soft_cross_entropy
from jssl.objectives.swav import swapped_assignment, swapped_prediction

__all__ = [
    "Clusters",
    "Memory",
    "Metrics",
    "Objective",
    "Outputs",
    "balanced_patch_distillation",
    "balanced_view_distillation",
    "barlow_twins",
    "cached_gradients",
    "centered",
    "concentration",
    "decoupled_nt_xent",
    "dino_cross_entropy",
    "enqueue",
    "hog",
    "info_nce",
    "instance_discrimination",
    "instance_memory",
    "kmeans",
    "koleo",
    "lloyd",
    "masked_cross_entropy",
    "masked_mean",
    "masked_patch_distillation",
    "masked_reconstruction",
    "masked_siamese",
    "masked_siamese_objective",
    "masked_token_cross_entropy",
    "microbatched",
    "named",
    "nearest_neighbour",
    "negative_cosine_similarity",
    "neighbour_contrast",
    "normalized_mse",
    "nt_xent",
    "patch_distillation",
    "patchify",
    "proto_nce",
    "prototype_contrast",
    "queue_contrast",
    "random_rows",
    "refresh",
    "relational",
    "relational_consistency",
    "remember",
    "scaled_info_nce",
    "sigmoid_pairwise",
    "sincos_position_embedding",
    "sinkhorn_knopp",
    "soft_cross_entropy",
    "spread_rows",
    "stateless",
    "supervised_contrastive",
    "swapped_assignment",
    "swapped_prediction",
    "symmetric_info_nce",
    "tile_contrast",
    "unpatchify",
    "update_center",
    "value_at",
    "vicreg",
    "view_distillation",
    "weighted_sum",
]
