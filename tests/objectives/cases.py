"""One row per objective: how to call it, on what, and what it promises. The laws read nothing else."""

import numpy as np

from jssl import objectives as o
from tests.objectives.case_parts import (
    EYE,
    PAIRS,
    PATCHES,
    SPREAD,
    TEACHER,
    TOKENS,
    TOWERS,
    TWO,
    TWO_COSINE,
    VIEWS,
    Case,
    D,
    K,
    N,
    Q,
    V,
    codes,
    corrupted,
    ids,
    kept,
    mask,
    normal,
    positive,
    probabilities,
    region_targets,
)


def _with(function, **settings):
    return lambda **arrays: function(**arrays, **settings)


def _reconstruction(**settings):
    arrays = normal("prediction", (0, N, D), "target", (0, N, D), mask=mask)
    return Case(_with(o.masked_reconstruction, **settings), arrays, **TOKENS)


def _msn(**arrays):
    return o.masked_siamese(**arrays, temperature=0.5)[0]


CASES = {
    "nt_xent": Case(_with(o.nt_xent, temperature=0.5), PAIRS, **TWO_COSINE, returns="2B", least=2),
    "nt_xent_blocks": Case(
        _with(o.nt_xent, temperature=0.5, block_size=3), PAIRS, **TWO_COSINE, returns="2B", least=2
    ),
    "decoupled_nt_xent": Case(
        _with(o.decoupled_nt_xent, temperature=0.5), PAIRS, **TWO_COSINE, returns="2B", least=2
    ),
    "info_nce": Case(
        _with(o.info_nce, temperature=0.5),
        normal("query", (0, D), "key", (0, D)),
        trained=("query", "key"),
        batched=dict(query=0, key=0),
        cosine=("query", "key"),
        least=2,
    ),
    "scaled_info_nce": Case(
        _with(o.scaled_info_nce, temperature=0.5),
        normal("query", (0, D), "key", (0, D)),
        trained=("query",),
        batched=dict(query=0, key=0),
        cosine=("query", "key"),
        least=2,
    ),
    "info_nce_queue": Case(
        _with(o.info_nce, temperature=0.5),
        normal("query", (0, D), "key", (0, D), "negatives", (Q, D)),
        trained=("query", "key"),
        batched=dict(query=0, key=0),
        cosine=("query", "key", "negatives"),
    ),
    "symmetric_info_nce": Case(
        o.symmetric_info_nce,
        normal("a", (0, D), "b", (0, D), logit_scale=positive),
        **TOWERS,
        trained=("a", "b", "logit_scale"),
        least=2,
    ),
    "symmetric_info_nce_blocks": Case(
        _with(o.symmetric_info_nce, block_size=3),
        normal("a", (0, D), "b", (0, D), logit_scale=positive),
        **TOWERS,
        trained=("a", "b", "logit_scale"),
        least=2,
    ),
    "sigmoid_pairwise": Case(
        o.sigmoid_pairwise,
        normal("a", (0, D), "b", (0, D), "logit_bias", (), logit_scale=positive),
        **TOWERS,
        trained=("a", "b", "logit_scale", "logit_bias"),
        least=2,
    ),
    "sigmoid_pairwise_blocks": Case(
        _with(o.sigmoid_pairwise, block_size=3),
        normal("a", (0, D), "b", (0, D), "logit_bias", (), logit_scale=positive),
        **TOWERS,
        trained=("a", "b", "logit_scale", "logit_bias"),
        least=2,
    ),
    "supervised_contrastive": Case(
        _with(o.supervised_contrastive, temperature=0.5),
        normal("z_a", (0, D), "z_b", (0, D), labels=ids(3)),
        trained=("z_a", "z_b"),
        batched=dict(z_a=0, z_b=0, labels=0),
        cosine=("z_a", "z_b"),
        returns="2B",
        least=2,
    ),
    "instance_discrimination": Case(
        _with(o.instance_discrimination, temperature=0.5),
        normal("z", (0, D), "memory", (Q, D), index=ids(Q)),
        trained=("z",),
        batched=dict(z=0, index=0),
        cosine=("z", "memory"),
    ),
    "noise_contrast": Case(
        _with(o.noise_contrast, temperature=0.5),
        normal("z", (0, D), "memory", (Q, D), index=ids(Q), noise=ids(Q, 3), normalizer=positive),
        trained=("z",),
        batched=dict(z=0, index=0, noise=0),
        cosine=("z", "memory"),
    ),
    "invariant_spreading": Case(
        _with(o.invariant_spreading, temperature=0.5),
        PAIRS,
        **TWO_COSINE,
        returns="2B",
        least=2,
        partial=("z_a", "z_b"),
    ),
    "proto_nce": Case(
        _with(o.proto_nce, temperature=0.5),
        normal(
            "z",
            (0, D),
            "prototypes",
            (K, D),
            assignment=ids(K - 2),
            density=lambda rng, b: np.full(K, 1.0),
            negatives=lambda rng, b: np.array([K - 2, K - 1], np.int32),
        ),
        trained=("z",),
        batched=dict(z=0, assignment=0),
        cosine=("z", "prototypes"),
    ),
    "assigned_cross_entropy": Case(
        _with(o.assigned_cross_entropy, temperature=0.5),
        normal("z", (0, D), "centroids", (K, D), assignment=ids(K)),
        trained=("z", "centroids"),
        batched=dict(z=0, assignment=0),
        cosine=("z", "centroids"),
    ),
    "bag_divergence": Case(
        o.bag_divergence,
        normal("logits", (0, K), bag=lambda rng, batch: probabilities(rng, batch)[0]),
        trained=("logits",),
        batched=dict(logits=0, bag=0),
        optimum=(dict(logits=np.zeros((4, K)), bag=np.full((4, K), 1 / K)), 0.0),
    ),
    "place_contrast": Case(
        _with(o.place_contrast, scale=0.5),
        normal("predictions", (0, D), "targets", (Q, D), positive=ids(Q)),
        trained=("predictions", "targets"),
        batched=dict(predictions=0, positive=0),
    ),
    "counting": Case(
        _with(o.counting, margin=20.0),
        normal("whole", (0, D), "parts", (0, 4, D), "other", (0, D)),
        trained=("whole", "parts", "other"),
        batched=dict(whole=0, parts=0, other=0),
        optimum=(dict(whole=4 * EYE, parts=np.stack([EYE] * 4, 1), other=9 * EYE), 0.0),
    ),
    "judgement": Case(
        o.judgement,
        normal("real", (0,), "made", (0,)),
        trained=("real", "made"),
        batched=dict(real=0, made=0),
    ),
    "passing": Case(o.passing, normal("made", (0,)), trained=("made",), batched=dict(made=0)),
    "filled_hole": Case(
        _with(o.filled_hole, band=1),
        normal("prediction", (0, 4, 4, 2), "target", (0, 4, 4, 2)),
        trained=("prediction",),
        batched=dict(prediction=0, target=0),
        optimum=(dict(prediction=np.ones((2, 4, 4, 1)), target=np.ones((2, 4, 4, 1))), 0.0),
    ),
    "where_kept": Case(
        o.where_kept,
        normal("logits", (0, 4), kept=kept),
        trained=("logits",),
        batched=dict(logits=0, kept=0),
    ),
    "error_where": Case(
        o.error_where,
        normal("prediction", (0, 4, 4, 2), "target", (0, 4, 4, 2), kept=kept),
        trained=("prediction",),
        batched=dict(prediction=0, target=0, kept=0),
    ),
    "color_cross_entropy": Case(
        o.color_cross_entropy,
        normal("logits", (0, N, K), code=codes, weights=lambda rng, batch: rng.uniform(0.5, 2.0, (batch, N))),
        trained=("logits",),
        batched=dict(logits=0, code=0, weights=0),
    ),
    "relational_consistency": Case(
        _with(o.relational_consistency, student_temperature=0.5, teacher_temperature=0.3),
        normal("student", (0, D), "teacher", (0, D), "queue", (Q, D)),
        trained=("student",),
        batched=dict(student=0, teacher=0),
        cosine=("student", "teacher", "queue"),
    ),
    "negative_cosine_similarity": Case(
        o.negative_cosine_similarity,
        normal("prediction", (0, D), "target", (0, D)),
        **TEACHER,
        optimum=(dict(prediction=EYE, target=3 * EYE), -1.0),
    ),
    "normalized_mse": Case(
        o.normalized_mse,
        normal("prediction", (0, D), "target", (0, D)),
        **TEACHER,
        optimum=(dict(prediction=EYE, target=3 * EYE), 0.0),
    ),
    "barlow_twins": Case(
        o.barlow_twins, PAIRS, **TWO, returns="", least=2, optimum=(dict(z_a=SPREAD, z_b=SPREAD), 0.0)
    ),
    "vicreg": Case(o.vicreg, PAIRS, **TWO, returns="", least=2, optimum=(dict(z_a=SPREAD, z_b=SPREAD), 0.0)),
    "koleo": Case(o.koleo, normal("z", (0, D)), trained=("z",), batched=dict(z=0), cosine=("z",), least=2),
    "soft_cross_entropy": Case(
        _with(o.soft_cross_entropy, temperature=2.0),
        normal("student_logits", (0, K), "teacher_logits", (0, K)),
        trained=("student_logits",),
        batched=dict(student_logits=0, teacher_logits=0),
    ),
    "gram_anchor": Case(
        o.gram_anchor,
        normal("student", (0, N, D), "target", (0, N, D)),
        trained=("student",),
        batched=dict(student=0, target=0),
        cosine=("student", "target"),
    ),
    "dino_cross_entropy": Case(
        _with(o.dino_cross_entropy, student_temperature=0.5, teacher_temperature=0.3),
        VIEWS,
        trained=("student_logits",),
        batched=dict(student_logits=1, teacher_logits=1),
    ),
    "swapped_prediction": Case(
        _with(o.swapped_prediction, temperature=0.5),
        normal("scores", (V, 0, K), codes=probabilities),
        trained=("scores",),
        batched=dict(scores=1, codes=1),
    ),
    "masked_patch_distillation": Case(
        _with(o.masked_patch_distillation, student_temperature=0.5, teacher_temperature=0.3),
        PATCHES,
        trained=("student_logits",),
        batched=dict(student_logits=0, teacher_logits=0, mask=0),
    ),
    "region_cross_entropy": Case(
        _with(o.region_cross_entropy, temperature=0.5),
        normal("student_logits", (0, N, K), targets=region_targets, match=ids(N - 1, N)),
        trained=("student_logits",),
        batched=dict(student_logits=0, targets=0, match=0),
    ),
    "masked_siamese": Case(
        _msn,
        normal("anchor", (V, 0, D), "target", (0, D), "prototypes", (K, D)),
        trained=("anchor", "prototypes"),
        batched=dict(anchor=1, target=0),
        cosine=("anchor", "target", "prototypes"),
        returns="",
        least=2,
        partial=("prototypes",),
    ),
    "masked_reconstruction_l2": _reconstruction(normalize_target=True),
    "masked_reconstruction_l1": _reconstruction(distance="l1"),
    "masked_reconstruction_smooth_l1": _reconstruction(distance="smooth_l1", beta=0.5),
    "masked_reconstruction_cosine": _reconstruction(distance="cosine")._replace(
        cosine=("prediction", "target")
    ),
    "restored_pixels": Case(
        _with(o.restored_pixels, patch=1),
        normal("prediction", (0, 4, D), "clean", (0, 2, 2, D), corrupted=corrupted),
        trained=("prediction",),
        batched=dict(prediction=0, clean=0, corrupted=0),
        returns="",
    ),
    "image_error": Case(
        o.image_error,
        normal("reconstruction", (0, 4, N, 3), "images", (0, 4, N, 3)),
        trained=("reconstruction",),
        batched=dict(reconstruction=0, images=0),
    ),
    "word_divergence": Case(
        o.word_divergence,
        normal("logits", (0, N, K)),
        trained=("logits",),
        batched=dict(logits=0),
        optimum=(dict(logits=np.zeros((2, N, K))), 0.0),
    ),
    "masked_token_cross_entropy": Case(
        o.masked_token_cross_entropy,
        normal("logits", (0, N, K), mask=mask, tokens=ids(K, N)),
        trained=("logits",),
        batched=dict(logits=0, mask=0, tokens=0),
    ),
}
