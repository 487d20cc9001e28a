"""The cost of a sweep of linear probes: 24 settings trained together, beside one alone.

    python -m benchmarks.sweep                       # 20,000 rows of 5 x 384 features, 10 classes, 300 steps
    python -m benchmarks.sweep --steps 12500 --classes 1000

Features are noise: speed does not depend on them. The times include compilation, which a user waits for too.
"""

import argparse
import time

import numpy as np

from jssl.evaluate import protocol

RATES = (1e-4, 1e-3, 1e-2, 0.1, 0.5, 1.0)


def seconds(rows: int, width: int, classes: int, **settings) -> float:
    """The seconds that DINOv2's probe takes with these settings."""
    rng = np.random.default_rng(0)
    layers = rng.standard_normal((rows, 5, width), dtype=np.float32)
    labels = rng.integers(0, classes, rows)
    given = dict(train_layers=layers, train_labels=labels, test_layers=layers[:100], test_labels=labels[:100])
    begun = time.perf_counter()
    protocol("linear_dinov2", **settings).run(**given, classes=classes)
    return time.perf_counter() - begun


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--width", type=int, default=384)
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--steps", type=int, default=300)
    chosen = vars(parser.parse_args())
    one = seconds(**chosen, learning_rates=RATES[:1], blocks=(4,), mean=(True,))
    many = seconds(**chosen, learning_rates=RATES, blocks=(1, 4), mean=(False, True))
    print(f"1 setting {one:.1f} s, 24 settings {many:.1f} s: {many / one:.2f} times")


if __name__ == "__main__":
    main()
