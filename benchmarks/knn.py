"""kNN of many queries against many features: time and peak memory, beside PyTorch as lightly writes it.

    python -m benchmarks.knn                                  # 10,000 queries, 50,000 x 512 features
    python -m benchmarks.knn --torch-python other/bin/python  # PyTorch in another environment

Each row is a process of its own, so that its peak resident memory is its own. The first call, which compiles,
is not counted.
"""

import argparse
import json
import resource
import subprocess
import sys
import time

CLASSES, K, TEMPERATURE, CHUNK = 100, 20, 0.07, 256


def drawn(rows: int, queries: int, width: int):
    """The same noise for both: features, labels and queries."""
    import numpy as np

    rng = np.random.default_rng(0)
    bank, asked = (rng.standard_normal((n, width), dtype=np.float32) for n in (rows, queries))
    return bank, rng.integers(0, CLASSES, rows), asked


def ours(bank, labels, asked):
    """The predictions of `knn_classify`, features on the host."""
    import jax.numpy as jnp
    import numpy as np

    from jssl.evaluate.protocols.knn import nearest_neighbours, votes

    similarities, rows = nearest_neighbours(bank, asked, k=K, chunk=CHUNK)
    return np.asarray(votes(similarities, jnp.asarray(labels)[rows], TEMPERATURE, CLASSES).argmax(-1))


def torch_knn(bank, labels, asked):
    """The predictions of a weighted vote as lightly's `knn_predict` computes them, by chunks of queries."""
    import torch
    from torch.nn.functional import normalize

    features, classes = normalize(torch.from_numpy(bank)).T.contiguous(), torch.from_numpy(labels)
    found = []
    for some in normalize(torch.from_numpy(asked)).split(CHUNK):
        weights, rows = (some @ features).topk(K, dim=-1)
        votes = torch.zeros(len(some), CLASSES)
        votes.scatter_add_(1, classes[rows], (weights / TEMPERATURE).exp())
        found.append(votes.argmax(-1))
    return torch.cat(found).numpy()


def measure(kind: str, rows: int, queries: int, width: int, repeats: int) -> dict:
    """Seconds of a call, the least of some, the peak resident memory in MiB, and the first predictions."""
    arrays, call = drawn(rows, queries, width), {"jssl": ours, "torch": torch_knn}[kind]
    found, times = call(*arrays), []
    for _ in range(repeats):
        start = time.perf_counter()
        call(*arrays)
        times.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"kind": kind, "seconds": min(times), "mib": round(peak), "first": found[:1000].tolist()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--queries", type=int, default=10_000)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--torch-python", default=sys.executable)
    parser.add_argument("--kind", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    sizes = chosen.rows, chosen.queries, chosen.width
    if chosen.kind:
        print(json.dumps(measure(chosen.kind, *sizes, chosen.repeats)))
        return
    found = {}
    for kind, python in (("jssl", sys.executable), ("torch", chosen.torch_python)):
        command = [python, "-m", "benchmarks.knn", "--kind", kind, "--repeats", str(chosen.repeats)]
        for name, size in zip(("--rows", "--queries", "--width"), sizes, strict=True):
            command += [name, str(size)]
        run = subprocess.run(command, capture_output=True, text=True)
        if run.returncode:
            print(f"{kind}: {(run.stderr.strip().splitlines() or ['it ended'])[-1]}")
            continue
        found[kind] = json.loads(run.stdout.splitlines()[-1])
        print(f"{kind:<6} {found[kind]['seconds']:6.2f} s  {found[kind]['mib']:6,} MiB")
    if len(found) == 2:
        same = sum(a == b for a, b in zip(found["jssl"]["first"], found["torch"]["first"], strict=True))
        print(f"jssl takes {found['jssl']['seconds'] / found['torch']['seconds']:.2f} of torch's time")
        print(f"{same} of {len(found['jssl']['first'])} predictions are the same")


if __name__ == "__main__":
    main()
