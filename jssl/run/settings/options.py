"""How an experiment is run: the flags that every command of an experiment has."""

from dataclasses import dataclass
from typing import Annotated, Literal

import jax
import numpy as np

from jssl.run.settings.numbers import Count, Range


@dataclass(frozen=True)
class Options:
    """How an experiment is run, whatever it trains."""

    out: str | None = None
    """Run directory; by default runs/<experiment>; run again with the same one to resume."""
    seed: Annotated[int, Range(0, 2**64 - 1)] = 0
    """Of initialisation, order and views."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of the forward pass: float32 on CPUs, else bfloat16; parameters and losses are float32."""
    accumulate: Count = 1
    """Parts in which a batch is seen, where it does not fit; a loss that compares images sees a part's."""
    accumulate_exactly: bool = False
    """The loss sees the whole batch: embeddings are kept while the networks see it in parts."""
    log_every: Count = 10
    """Steps between two lines of metrics.jsonl."""
    eval_every: Count | None = None
    """Steps between two kNN probes; by default a tenth of the run, ten at least."""
    checkpoint_every: Count | None = None
    """Steps between two checkpoints; by default a tenth of the run."""
    stop_when_worse: Count | None = None
    """Probes in a row below the best at which the run stops and goes back to the best one's checkpoint."""
    skip_nonfinite: int = 0
    """Steps that may be skipped because a loss or gradient is not finite, before the run stops."""
    log: Literal["wandb", "mlflow"] | None = None
    """A service that is told what metrics.jsonl has; its own settings say where it is."""
    preset: Literal["small"] | None = None
    """small: settings that suit 300 to 1,000,000 images, by how many there are; what is given stays."""
    mesh: str | None = None
    """Such as data=8 or data=4,fsdp=2; by default all devices on data."""
    coordinator: str | None = None
    """host:port of process 0, for several processes where the environment does not tell."""
    processes: int | None = None
    """How many there are, with --coordinator."""
    process: int | None = None
    """Which one this is, with --coordinator."""

    @property
    def key(self) -> jax.Array:
        """The random key of the run."""
        return jax.random.key(self.seed31)

    @property
    def seed31(self) -> int:
        """The seed in the 31 bits that integers on a device have; those that are larger are mixed."""
        return (
            self.seed
            if self.seed < 2**31
            else int(np.random.SeedSequence(self.seed).generate_state(1)[0] >> 1)
        )
