"""Pure losses of arrays, and objectives, which may keep memory between steps. A system's loss is in the file
of its name.
"""

from jssl.arrays.patches import patchify, sincos_position_embedding, unpatchify
from jssl.objectives.adversarial import error_where, filled_hole, judgement, passing, where_kept
from jssl.objectives.alignment import negative_cosine_similarity, normalized_mse
from jssl.objectives.base import Memory, Metrics, Objective, Outputs, named, stateless, value_at, weighted_sum
from jssl.objectives.beit import word_figures
from jssl.objectives.cached import cached_gradients, microbatched
from jssl.objectives.clusters import (
    Clusters,
    assigned_cross_entropy,
    concentration,
    kmeans,
    lloyd,
    random_rows,
    spread_rows,
)
from jssl.objectives.colorization import (
    AB_BINS,
    annealed_mean,
    color_cross_entropy,
    rare_colors,
    rarity,
    soft_encode,
)
from jssl.objectives.contrastive import (
    decoupled_nt_xent,
    info_nce,
    nt_xent,
    scaled_info_nce,
    sigmoid_pairwise,
    supervised_contrastive,
    symmetric_info_nce,
)
from jssl.objectives.counts import counting
from jssl.objectives.cpc import contrastive_prediction, place_contrast
from jssl.objectives.data2vec import averaged_blocks, patch_regression
from jssl.objectives.deepcluster import cluster_classification, recluster
from jssl.objectives.dino import centered, dino_cross_entropy, update_center, view_distillation
from jssl.objectives.dinov2 import (
    balanced_patch_distillation,
    balanced_view_distillation,
    dinov2_terms,
    spread_views,
)
from jssl.objectives.dinov3 import gram_anchor, gram_anchoring
from jssl.objectives.esvit import matching_regions, region_cross_entropy, region_distillation
from jssl.objectives.gradients import hog, hog_of_patches
from jssl.objectives.ibot import masked_cross_entropy, masked_patch_distillation, patch_distillation
from jssl.objectives.infomin import tile_contrast
from jssl.objectives.moco import enqueue, queue_contrast
from jssl.objectives.msn import masked_siamese, masked_siamese_objective
from jssl.objectives.nnclr import nearest_neighbour, neighbour_contrast
from jssl.objectives.npid import instance_discrimination, instance_memory, noise_contrast
from jssl.objectives.obow import bag_divergence, bag_of_words, bag_prediction, word_distances
from jssl.objectives.pcl import proto_nce, prototype_contrast, refresh, remember
from jssl.objectives.reconstruction import masked_mean, masked_reconstruction, masked_token_cross_entropy
from jssl.objectives.redundancy import barlow_twins, koleo, vicreg
from jssl.objectives.ressl import relational, relational_consistency
from jssl.objectives.sinkhorn import sinkhorn_knopp
from jssl.objectives.sit import restored_pixels
from jssl.objectives.smog import momentum_grouping, moved_groups, nearest_group, regroup
from jssl.objectives.soft_labels import soft_cross_entropy
from jssl.objectives.splitmask import match_of_halves, words_of_halves
from jssl.objectives.spreading import invariant_spreading
from jssl.objectives.swav import swapped_assignment, swapped_prediction
from jssl.objectives.tokenizer import image_error, word_divergence, word_usage
from jssl.objectives.transfer import cluster_labels, clustered_once, remembered_features

__all__ = [
    "AB_BINS",
    "Clusters",
    "Memory",
    "Metrics",
    "Objective",
    "Outputs",
    "annealed_mean",
    "assigned_cross_entropy",
    "averaged_blocks",
    "bag_divergence",
    "bag_of_words",
    "bag_prediction",
    "balanced_patch_distillation",
    "balanced_view_distillation",
    "barlow_twins",
    "cached_gradients",
    "centered",
    "cluster_classification",
    "cluster_labels",
    "clustered_once",
    "color_cross_entropy",
    "concentration",
    "contrastive_prediction",
    "counting",
    "decoupled_nt_xent",
    "dino_cross_entropy",
    "dinov2_terms",
    "enqueue",
    "error_where",
    "filled_hole",
    "gram_anchor",
    "gram_anchoring",
    "hog",
    "hog_of_patches",
    "image_error",
    "info_nce",
    "instance_discrimination",
    "instance_memory",
    "invariant_spreading",
    "judgement",
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
    "match_of_halves",
    "matching_regions",
    "microbatched",
    "momentum_grouping",
    "moved_groups",
    "named",
    "nearest_group",
    "nearest_neighbour",
    "negative_cosine_similarity",
    "neighbour_contrast",
    "noise_contrast",
    "normalized_mse",
    "nt_xent",
    "passing",
    "patch_distillation",
    "patch_regression",
    "patchify",
    "place_contrast",
    "proto_nce",
    "prototype_contrast",
    "queue_contrast",
    "random_rows",
    "rare_colors",
    "rarity",
    "recluster",
    "refresh",
    "region_cross_entropy",
    "region_distillation",
    "regroup",
    "relational",
    "relational_consistency",
    "remember",
    "remembered_features",
    "restored_pixels",
    "scaled_info_nce",
    "sigmoid_pairwise",
    "sincos_position_embedding",
    "sinkhorn_knopp",
    "soft_cross_entropy",
    "soft_encode",
    "spread_rows",
    "spread_views",
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
    "where_kept",
    "word_distances",
    "word_divergence",
    "word_figures",
    "word_usage",
    "words_of_halves",
]
