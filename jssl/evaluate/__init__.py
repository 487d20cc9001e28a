"""What a representation is worth: probes on frozen features, label-free measures, health, figures and the report.

Figures are in `jssl.evaluate.figures`; matplotlib is imported when one is drawn.
"""

from jssl.evaluate.extract import extract_features, to_float
from jssl.evaluate.measures.health import (
    diagnose,
    embedding_health,
    gradient_health,
    pair_health,
    teacher_health,
)
from jssl.evaluate.measures.metrics import (
    alignment,
    dead_dimensions,
    feature_std,
    rank_me,
    smooth_rank,
    uniformity,
)
from jssl.evaluate.protocols.knn import knn_accuracy, knn_classify, nearest_neighbours
from jssl.evaluate.protocols.linear import LinearProbe, linear_probe
from jssl.evaluate.protocols.probe import (
    Labelled,
    Scores,
    format_table,
    pixels,
    probe,
    probe_network,
    probe_pixels,
    probe_table,
)
from jssl.evaluate.protocols.zero_shot import zero_shot_classify
from jssl.evaluate.report import render_report, write_report

__all__ = [
    "Labelled",
    "LinearProbe",
    "Scores",
    "alignment",
    "dead_dimensions",
    "diagnose",
    "embedding_health",
    "extract_features",
    "feature_std",
    "format_table",
    "gradient_health",
    "knn_accuracy",
    "knn_classify",
    "linear_probe",
    "nearest_neighbours",
    "pair_health",
    "pixels",
    "probe",
    "probe_network",
    "probe_pixels",
    "probe_table",
    "rank_me",
    "render_report",
    "smooth_rank",
    "teacher_health",
    "to_float",
    "uniformity",
    "write_report",
    "zero_shot_classify",
]
