"""Evaluation of representations: protocols on frozen features, label-free measures, health, figures and the
report.

Figures are in `jssl.evaluate.figures`; matplotlib is imported when one is drawn.
"""

from jssl.evaluate.extract import extract_features
from jssl.evaluate.measures.health import (
    diagnose,
    embedding_health,
    gradient_health,
    pair_health,
    teacher_health,
)
from jssl.evaluate.measures.metrics import (
    alignment,
    alpha_req,
    dead_dimensions,
    feature_std,
    lidar,
    rank_correlation,
    rank_me,
    smooth_rank,
    uniformity,
)
from jssl.evaluate.protocols import PROTOCOLS, protocol
from jssl.evaluate.protocols.base import Labelled, Protocol, refusal, score
from jssl.evaluate.protocols.knn import knn_accuracy, knn_classify, knn_protocol, nearest_neighbours
from jssl.evaluate.protocols.linear import LinearProbe, linear_probe, linear_protocol
from jssl.evaluate.protocols.logistic import LogisticProbe, logistic_probe, logistic_protocol
from jssl.evaluate.protocols.zero_shot import zero_shot_classify, zero_shot_protocol
from jssl.evaluate.report import render_report, write_report
from jssl.evaluate.table import format_table, pixels, score_network, score_pixels, score_table

__all__ = [
    "PROTOCOLS",
    "Labelled",
    "LinearProbe",
    "LogisticProbe",
    "Protocol",
    "alignment",
    "alpha_req",
    "dead_dimensions",
    "diagnose",
    "embedding_health",
    "extract_features",
    "feature_std",
    "format_table",
    "gradient_health",
    "knn_accuracy",
    "knn_classify",
    "knn_protocol",
    "lidar",
    "linear_probe",
    "linear_protocol",
    "logistic_probe",
    "logistic_protocol",
    "nearest_neighbours",
    "pair_health",
    "pixels",
    "protocol",
    "rank_correlation",
    "rank_me",
    "refusal",
    "render_report",
    "score",
    "score_network",
    "score_pixels",
    "score_table",
    "smooth_rank",
    "teacher_health",
    "uniformity",
    "write_report",
    "zero_shot_classify",
    "zero_shot_protocol",
]
