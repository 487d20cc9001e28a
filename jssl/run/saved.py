"""Opens a run again from its directory alone."""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from jssl.evaluate import extract_features
from jssl.methods.base import Method
from jssl.run.evaluation.probing import features_of
from jssl.run.plan import initial_state, state_shapes
from jssl.run.settings.experiment import DataInfo, Experiment, Settings
from jssl.run.settings.options import Options
from jssl.run.settings.systems import experiments, named
from jssl.run.weights.from_weights import beside
from jssl.run.weights.named import fit, settings_with_weights
from jssl.train import TrainState
from jssl.weights.directory import CONFIG, encoder_variables, newest_state, read_config


@dataclass(frozen=True)
class SavedRun:
    """A run at its newest checkpoint.

    Attributes:
        directory: Of the run.
        config: What its config.json holds.
        settings: The experiment's.
        experiment: Built of them.
        state: The train state.
        variables: Of the evaluated encoder: {"params": ..., and "batch_stats" where it has them}.
    """

    directory: Any
    config: Mapping[str, Any]
    settings: Settings
    experiment: Experiment
    state: TrainState
    variables: Mapping[str, Any]

    @property
    def method(self) -> Method:
        """The method that was trained."""
        return self.experiment.method

    @property
    def encoder(self) -> Any:
        """The module whose variables are `variables`."""
        return self.experiment.encoder

    @property
    def preprocessing(self) -> Callable[[jax.Array], jax.Array]:
        """The function that prepares stored images, uint8 [B, H, W, C], for the encoder."""
        return self.experiment.evaluation_view

    def features(self, images: jax.Array | np.ndarray, *, batch: int | None = None) -> jax.Array:
        """Computes the features that the probes use.

        Args:
            images: uint8 [N, H, W, C].
            batch: As `extract_features` takes it.
        Returns:
            [N, D] float32.
        """
        network = features_of(self.method, self.state)
        return extract_features(network, images, batch=batch, view=jax.tree_util.Partial(self.preprocessing))


def open_run(directory, *, kind: type[Settings] | None = None) -> SavedRun:
    """Opens a run: `jssl.open_run("runs/dino").features(images)`.

    Args:
        directory: Of the run.
        kind: The class of its settings, if it is not a system's and cannot be imported from where it was.
    Returns:
        A `SavedRun`.
    Raises:
        ValueError: where there is no run, no checkpoint of it, or no class of its settings.
    """
    config = read_config(directory)
    try:
        info = DataInfo(**config["data"])
        settings = _settings(kind or _kind(directory, config), config["settings"])
    except (KeyError, TypeError) as error:
        raise ValueError(f"{directory}: {CONFIG} there is not what this version writes: {error}") from None
    settings, weights = settings_with_weights(settings, config)
    experiment = settings.build(info)
    options = Options(seed=config["numbers"]["seed"])
    start = None if weights is None else fit(experiment, info, weights, config["settings"]["start"])
    init, batch = initial_state(experiment, options), info.batch(experiment.batch)
    like = state_shapes(init, batch, beside(start, experiment.given))
    state = newest_state(directory, like)
    variables = encoder_variables(state, config, directory)
    return SavedRun(directory, config, settings, experiment, state, variables)


def _kind(directory, config: Mapping[str, Any]) -> type[Settings]:
    module, _, name = config["class"].partition(":")
    system = experiments().REGISTRY.get(config["experiment"])
    if system is not None and system.experiment == name:
        return named(config["experiment"])
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError):
        raise ValueError(
            f"{directory} is a run of {config['class']}, which is not found; give its class: open_run(..., "
            "kind=...)"
        ) from None


def _settings(kind: type[Settings], values: Mapping[str, Any]) -> Settings:
    given: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in values.items()
    }
    return kind(**given)
