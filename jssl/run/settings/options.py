"""How an experiment is run: the flags that every command of an experiment has."""

from dataclasses import dataclass
from typing import Annotated, Literal

import jax
import numpy as np

from jssl.run.settings.numbers import Count, Range


@dataclass(frozen=True)
class Options:
    """The options of a run that do not depend on its experiment."""

    out: str | None = None
    """Run directory; by default runs/<experiment>; run again with the same one to resume."""
    seed: Annotated[int, Range(0, 2**64 - 1)] = 0
    """Random seed of the initial weights, the order of the data and the views."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """Precision of the forward pass; auto: bfloat16, on CPUs float32. Parameters and losses are float32."""
    accumulate: Count = 1
    """Split a batch into so many parts, to save memory; a loss that compares images then sees one part."""
    accumulate_exactly: bool = False
    """With --accumulate: the loss still sees the whole batch, since embeddings of all parts are kept."""
    log_every: Count = 10
    """Steps between two lines of metrics.jsonl."""
    eval_every: Count | None = None
    """Steps between two kNN probes; by default a tenth of the run, ten at least."""
    checkpoint_every: Count | None = None
    """Steps between two checkpoints; by default a tenth of the run."""
    stop_when_worse: Count | None = None
    """Stop after so many probes in a row below the best one, and go back to that one's checkpoint."""
    skip_nonfinite: int = 0
    """How many steps with a loss or gradient that is not finite are skipped before the run stops."""
    log: Literal["wandb", "mlflow"] | None = None
    """A service that also gets what is written to metrics.jsonl; its own settings say where it is."""
    preset: Literal["small"] | None = None
    """small: settings chosen by the number of images, 300 to 1,000,000; those that you give stay."""
    mesh: str | None = None
    """How devices are arranged, such as data=8 or data=4,fsdp=2; by default all of them on data."""
    coordinator: str | None = None
    """host:port of process 0, for several processes without Slurm, Open MPI or a TPU pod."""
    processes: int | None = None
    """With --coordinator: how many processes there are."""
    process: int | None = None
    """With --coordinator: the number of this process, from 0."""

    @property
    def key(self) -> jax.Array:
        """The random key of the run."""
        return jax.random.key(self.seed31)

    @property
    def seed31(self) -> int:
        """The seed in the 31 bits that integers on a device have; a larger one is hashed into them."""
        return (
            self.seed
            if self.seed < 2**31
            else int(np.random.SeedSequence(self.seed).generate_state(1)[0] >> 1)
        )
