"""Labels carried along a film by its frames' features: DINO's evaluation on DAVIS."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from jssl.arrays.checks import check, check_positive
from jssl.arrays.vectors import unit
from jssl.evaluate.measures.regions import boundary_f, jaccard
from jssl.evaluate.protocols.base import Protocol, settings_of
from jssl.evaluate.protocols.patches import at_every_pixel, patch_grid

NAME = "propagate"


def propagation_protocol(**settings) -> Protocol:
    """Makes the protocol of label propagation: labels of the first frame are carried along each film.

    Args:
        **settings: Keyword arguments of `propagate`: radius, frames, top, temperature.
    Returns:
        The `Protocol` "propagate" with the metrics "j" (regions), "f" (boundaries) and "jf", their mean: over
        the frames after the first, then over the objects that the first frames of all films have, each
        counting as much as any other, as on DAVIS, which leaves the last frame out too. `film_tokens` holds
        [T, N, D] of each film and `film_objects` [T, H, W], which numbers objects from 1; films may differ in
        length.
    References:
        arXiv:2104.14294, section 4.2.2; DAVIS, arXiv:1704.00675
    """

    def run(film_tokens, film_objects):
        if len(film_tokens) != len(film_objects):
            raise ValueError(
                f"{NAME}: there are tokens of {len(film_tokens)} films, objects of {len(film_objects)}"
            )
        objects = [np.asarray(truth) for truth in film_objects]
        for tokens, truth in zip(film_tokens, objects, strict=True):
            if np.ndim(tokens) != 3 or truth.ndim != 3 or len(tokens) != len(truth):
                raise ValueError(
                    f"{NAME}: a film's tokens have shape {np.shape(tokens)} and its objects {truth.shape}, "
                    "expected [T, N, D] and [T, H, W]"
                )
        known = [i for i, truth in enumerate(objects) if len(truth) > 1 and (truth[0] > 0).any()]
        if not known:
            raise ValueError(f"{NAME}: expected films of two frames or more, with an object in the first")
        classes = int(max(objects[i][0].max() for i in known)) + 1
        regions, boundaries = [], []
        for tokens, truth in ((film_tokens[i], objects[i]) for i in known):
            numbers = np.unique(truth[0][truth[0] > 0])
            found = propagate(jnp.asarray(tokens), jnp.asarray(truth[0]), classes=classes, **settings)
            pair = _compared(found, jnp.asarray(truth[1:]), classes)
            j, f = (np.asarray(x)[numbers - 1] for x in pair)
            regions.append(j)
            boundaries.append(f)
        j, f = (np.mean(np.concatenate(x)) for x in (regions, boundaries))
        return {"jf": (j + f) / 2, "j": j, "f": f}

    chosen = settings_of(propagate, settings, of=NAME)
    return Protocol(NAME, ("film_tokens", "film_objects"), run, main="jf", settings=chosen)


def propagate(
    tokens: jax.Array,
    first: jax.Array,
    *,
    classes: int,
    radius: int = 12,
    frames: int = 7,
    top: int = 5,
    temperature: float = 0.1,
) -> jax.Array:
    """Carries the labels of a film's first frame to the others.

    Each patch takes the mean label of the `top` patches most like it, of the first frame and of the last
    ones, no farther away than `radius` patches, weighted by exp(cosine / temperature). Labels are
    interpolated bilinearly between patches, each label is scaled to [0, 1] over the frame, and the largest
    wins.

    Args:
        tokens: [T, N, D] patch tokens of the frames.
        first: [H, W] integers in [0, classes), 0 for no object; patches take the label at their middle.
        classes: Objects, and one for none.
        radius: How many rows and columns away a patch may lie; 0: anywhere in the frame.
        frames: How many frames before this one are used besides the first.
        top: Patches that a label is taken from.
        temperature: Of their weights, exp(cosine / temperature).
    Returns:
        [T - 1, H, W] integers.
    Raises:
        ValueError: for wrong shapes.
    References:
        facebookresearch/dino, eval_video_segmentation.py
    Examples:
        >>> tokens, first = jnp.tile(jnp.eye(4), (3, 1, 1)), jnp.array([[0, 0], [0, 1]])
        >>> propagate(tokens, first, classes=2)[-1].tolist()
        [[0, 0], [0, 1]]
    """
    tokens, first = check(tokens=(tokens, "T N D"), first=(first, "H W", int))
    check_positive(frames=frames, top=top, temperature=temperature)
    rows, columns = patch_grid(tokens.shape[1], first.shape)
    top = min(top, tokens.shape[1])
    near = _near((rows, columns), radius)
    return _propagate(tokens, first, near, temperature, classes=classes, frames=frames, top=top)


def _near(grid: tuple[int, int], radius: int) -> np.ndarray:
    """Which patches [N, N] lie near each other."""
    places = np.indices(grid).reshape(2, -1).T
    apart = np.abs(places[:, None] - places).max(-1)
    return apart <= (radius or max(grid))


@functools.partial(jax.jit, static_argnames=("classes", "frames", "top"))
def _propagate(tokens, first, near, temperature, *, classes, frames, top):
    (height, width), count = first.shape, tokens.shape[1]
    rows, columns = patch_grid(count, (height, width))
    tokens = unit(tokens)
    middle = first[height // rows // 2 :: height // rows, width // columns // 2 :: width // columns]
    known = jax.nn.one_hot(middle.reshape(-1), classes)

    def frame(carry, now):
        earlier, labels, filled = carry  # the first frame, then the last ones, newest at the end
        like = jnp.einsum("nd,fmd->nfm", now, earlier, precision="highest") / temperature
        like = jnp.where(near[:, None] & filled[:, None], like, -jnp.inf).reshape(count, -1)
        like = jnp.exp(like - jnp.max(like, -1, keepdims=True))  # the same after normalisation, and finite
        least = jax.lax.top_k(like, top)[0][:, -1:]
        like = jnp.where(like < least, 0.0, like)
        found = like / jnp.sum(like, -1, keepdims=True) @ labels.reshape(-1, classes)

        def pushed(queue, new):
            return jnp.concatenate([queue[:1], queue[2:], new[None]])

        return (pushed(earlier, now), pushed(labels, found), pushed(filled, jnp.array(True))), found

    earlier = jnp.zeros((1 + frames, *tokens.shape[1:]), tokens.dtype).at[0].set(tokens[0])
    labels = jnp.zeros((1 + frames, count, classes)).at[0].set(known)
    filled = jnp.zeros(1 + frames, bool).at[0].set(True)
    _, found = jax.lax.scan(frame, (earlier, labels, filled), tokens[1:])
    shown = at_every_pixel(found, (height, width))
    low, high = shown.min((1, 2), keepdims=True), shown.max((1, 2), keepdims=True)
    return jnp.argmax(jnp.where(high > 0, (shown - low) / jnp.maximum(high - low, 1e-12), shown), -1)


@functools.partial(jax.jit, static_argnames="classes")
def _compared(found, truth, classes):
    """(J, F) [objects], means over frames."""
    numbers = jnp.arange(1, classes)[:, None, None, None]
    pair = found == numbers, truth == numbers
    return jaccard(*pair).mean(1), boundary_f(*pair).mean(1)
