"""Rotations of held-out images: by how much the network thinks that they were turned."""

import jax.numpy as jnp
import numpy as np

from jssl.data import NoSplit, load
from jssl.methods.base import Method
from jssl.methods.pretext import predicted_rotations
from jssl.run.experiment import Figure

COUNT = 512  # held-out images


def rotation_figure(method: Method, view, data: str, *, data_dir: str | None = None) -> tuple[Figure, ...]:
    """Held-out images in their four rotations, as an experiment's `figures`; the caption says how many are told right."""

    def figure(state, images):
        import matplotlib.pyplot as plt

        from jssl.evaluate import figures

        try:
            test = load(data, split="test", data_dir=data_dir)
        except NoSplit:
            return []
        some = test.images[np.linspace(0, len(test) - 1, min(COUNT, len(test))).astype(int)]
        seen = view(jnp.asarray(some))
        guesses = np.asarray(predicted_rotations(method, state, seen))
        drawn, axes = plt.subplots(4, 8, figsize=(9, 4.8))
        for turn, row in enumerate(axes):
            for ax, image, guess in zip(row, some, guesses[turn], strict=False):
                ax.imshow(np.rot90(image, turn))
                ax.set_title(f"{90 * guess}°", fontsize=7, color="tab:green" if guess == turn else "tab:red")
                ax.axis("off")
        drawn.tight_layout()
        told = 100 * np.mean(guesses == np.arange(4)[:, None])
        caption = f"By how much the network thinks held-out images were turned; {told:.1f} % are told right."
        return [(caption, figures.png(drawn))]

    return (figure,)
