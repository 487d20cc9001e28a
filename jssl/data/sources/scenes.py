"""Synthetic scenes with a known class, depth, segmentation, caption, motion and sound.

A scene has an object, which its caption describes, on a textured ground, and a second, grey object behind it.
It is a function of (split, index) alone, drawn on the device at any resolution; nothing is stored or
downloaded.
"""

from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from jssl.arrays.keys import sample_keys, uniform
from jssl.data.source import Source
from jssl.data.sources.arrays import from_arrays

SHAPES = ("circle", "square", "triangle", "diamond", "ring", "cross", "star", "hexagon", "moon", "bar")
COLORS = {
    "red": (0.90, 0.15, 0.15),
    "green": (0.15, 0.70, 0.20),
    "blue": (0.15, 0.30, 0.90),
    "yellow": (0.95, 0.85, 0.15),
    "purple": (0.55, 0.20, 0.75),
    "orange": (0.95, 0.55, 0.10),
    "cyan": (0.20, 0.80, 0.85),
    "pink": (0.95, 0.50, 0.70),
}
POSITIONS = ("left", "right", "top", "bottom", "center")
SIZES = ("small", "large")
TEXTURES = ("plain", "striped", "checked", "dotted")
ATTRIBUTES = ("shape", "color", "position", "size", "texture", "ground")
WORDS = ("", "a", "at", "the", "on", "ground", *SHAPES, *COLORS, *POSITIONS, *SIZES, *TEXTURES)
VOCABULARY = {word: number for number, word in enumerate(WORDS)}  # 0 is padding
CAPTION_LENGTH = 12
SPLITS = ("train", "test", "unseen")
# no training scene has a shape and a color whose numbers add up to a multiple of this
HELD_OUT = 4
SOUND_RATE = 8000  # samples per second

_PLACES = np.array([(-0.45, 0), (0.45, 0), (0, -0.45), (0, 0.45), (0, 0)], np.float32)


def attributes(index: jax.Array, *, split: str = "train") -> jax.Array:
    """Draws the attributes that a caption names: shape, color, position, size, texture and ground color.

    Args:
        index: [B] any integers.
        split: "train", "test" (other scenes of the same kinds) or "unseen" (only pairs of shape and color
            that the other two never show).
    Returns:
        [B, 6] int32, columns as in `ATTRIBUTES`.
    """
    return _attributes(_draws(index, split), unseen=split == "unseen")


def _attributes(draws, *, unseen: bool):
    shape, position, size, texture = (
        jnp.floor(draws[:, i] * n).astype(jnp.int32)
        for i, n in ((0, len(SHAPES)), (2, len(POSITIONS)), (3, len(SIZES)), (4, len(TEXTURES)))
    )
    # Each shape has an order of colors of its own, which starts with those it is never seen in.
    left_out = len(COLORS) // HELD_OUT
    if unseen:
        place = jnp.floor(draws[:, 1] * left_out).astype(jnp.int32)
        color = (-shape) % HELD_OUT + HELD_OUT * place
    else:
        place = jnp.floor(draws[:, 1] * (len(COLORS) - left_out)).astype(jnp.int32)
        color = (-shape + 1 + place % (HELD_OUT - 1)) % HELD_OUT + HELD_OUT * (place // (HELD_OUT - 1))
    ground = (color + 1 + jnp.floor(draws[:, 5] * (len(COLORS) - 1)).astype(jnp.int32)) % len(COLORS)
    return jnp.stack([shape, color, position, size, texture, ground], -1)


def _draws(index, split):
    return _draws_of(index, _number(split))


def _number(split):
    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}, got {split!r}")
    return SPLITS.index(split)


def _draws_of(index, number):
    return uniform(sample_keys(jax.random.key(1000 + number), jnp.asarray(index)), shape=(20,))


def caption(values) -> str:
    """Writes the sentence of one row of attributes.

    Examples:
        >>> caption([0, 0, 4, 1, 1, 2])
        'a large red circle at the center on a striped blue ground'
    """
    shape, color, position, size, texture, ground = (int(value) for value in values)
    names = tuple(COLORS)
    return (
        f"a {SIZES[size]} {names[color]} {SHAPES[shape]} at the {POSITIONS[position]} "
        f"on a {TEXTURES[texture]} {names[ground]} ground"
    )


def caption_tokens(values: jax.Array) -> jax.Array:
    """Writes the captions as numbers of words in `VOCABULARY`.

    Args:
        values: [B, 6] attributes.
    Returns:
        [B, CAPTION_LENGTH] int32, padded with 0.
    """
    first = {name: VOCABULARY[words[0]] for name, words in _COLUMNS.items()}
    word = {name: values[:, i] + first[name] for i, name in enumerate(ATTRIBUTES)}

    def fixed(text):
        return jnp.full(len(values), VOCABULARY[text])

    sentence = [
        fixed("a"),
        word["size"],
        word["color"],
        word["shape"],
        fixed("at"),
        fixed("the"),
        word["position"],
        fixed("on"),
        fixed("a"),
        word["texture"],
        word["ground"],
        fixed("ground"),
    ]
    return jnp.stack(sentence, -1).astype(jnp.int32)


_COLUMNS = dict(
    zip(ATTRIBUTES, (SHAPES, tuple(COLORS), POSITIONS, SIZES, TEXTURES, tuple(COLORS)), strict=True)
)


def _outside(kind, x, y):
    """How far (x, y) lies outside the shape of this kind, of radius 1; negative inside. kind: [B, 1, 1]."""
    r, angle, ax, ay = jnp.hypot(x, y), jnp.arctan2(x, -y), jnp.abs(x), jnp.abs(y)
    return _choose(
        kind,
        [
            r - 0.95,
            jnp.maximum(ax, ay) - 0.8,
            jnp.maximum(ax * 0.866 - y * 0.5, y) - 0.55,
            (ax + ay - 1.1) * 0.7,
            jnp.abs(r - 0.7) - 0.25,
            jnp.minimum(jnp.maximum(ax - 0.3, ay - 1), jnp.maximum(ay - 0.3, ax - 1)),
            (r - 0.65 - 0.35 * jnp.cos(5 * angle)) * 0.6,
            jnp.maximum(ay * 0.866 + ax * 0.5, ax) - 0.8,
            jnp.maximum(r - 0.95, 0.8 - jnp.hypot(x - 0.45, y)),
            jnp.maximum(ax - 1, ay - 0.3),
        ],
    )


def _choose(number, values):
    """values[number] for each pixel, as a sum that XLA fuses into one pass."""
    return sum(jnp.where(number == i, value, 0) for i, value in enumerate(values))


def render(index: jax.Array, *, side: int, split: str = "train", time: float = 0.0) -> dict[str, jax.Array]:
    """Draws scenes at a resolution, at a moment of their motion. Jit it with `side` and `split` fixed.

    Args:
        index: [B].
        side: pixels.
        split: "train", "test" or "unseen".
        time: in frames; in each, the objects move by a few percent of the picture.
    Returns:
        {"image": uint8 [B, side, side, 3], "label": int32 [B] the shape, "depth": float [B, side, side] in
        [0, 1], 1 the farthest, "segmentation": int32 [B, side, side] 0 the ground, else 1 + shape, "caption":
        int32 [B, 12] word numbers, "attributes": int32 [B, 6], "index": int32 [B], "objects": int32 [B, side,
        side] 0 the ground, 1 the grey object, 2 the described one}.
    """
    return _render(index, _draws(index, split), unseen=split == "unseen", side=side, time=time)


def _render(index, draws, *, unseen: bool, side: int, time: float = 0.0):
    values = _attributes(draws, unseen=unseen)
    shape, color, position, size, texture, ground = values.T
    palette = jnp.array(list(COLORS.values()))
    grid = (jnp.arange(side) + 0.5) / side * 2 - 1
    x, y = grid[None, None, :], grid[None, :, None]  # -1 ... 1

    def whole(values):
        return values[:, None, None]

    def cover(kind, centre, radius, angle):
        """The share of each pixel that the object covers, in [0, 1]."""
        dx, dy = (x - whole(centre[:, 0])) / whole(radius), (y - whole(centre[:, 1])) / whole(radius)
        cosine, sine = whole(jnp.cos(angle)), whole(jnp.sin(angle))
        outside = _outside(whole(kind), cosine * dx + sine * dy, cosine * dy - sine * dx)
        return jnp.clip(0.5 - outside * whole(radius) * side / 2, 0, 1)

    # The ground: two shades in a pattern, lighter and nearer towards the bottom.
    phase, wave = whole(draws[:, 6] * 2 * jnp.pi), whole(6 + 8 * draws[:, 7])
    stripes, checks = jnp.sin(wave * x + phase), jnp.sin(wave * x + phase) * jnp.sin(wave * y)
    dots = jnp.cos(wave * x + phase) * jnp.cos(wave * y) - 0.5
    pattern = _choose(whole(texture), [0, stripes, checks, dots])
    shade = 0.75 + 0.15 * jnp.tanh(4 * pattern) + 0.1 * y
    image = shade[..., None] * (0.35 + 0.5 * palette[ground])[:, None, None]
    depth = jnp.broadcast_to(0.85 - 0.15 * y, shade.shape)
    segmentation = objects = jnp.zeros(shade.shape, jnp.int32)

    # Two objects, the grey one first, because the described one hides it.
    jitter, drift = (draws[:, 8:10] - 0.5) * 0.2, (draws[:, 10:12] - 0.5) * 0.1
    described = dict(
        kind=shape,
        centre=jnp.asarray(_PLACES)[position] + jitter + drift * time,
        radius=jnp.where(size == 1, 0.42, 0.26) * (0.9 + 0.2 * draws[:, 12]),
        angle=(draws[:, 13] - 0.5) * 0.5,
    )
    grey = dict(
        kind=jnp.floor(draws[:, 14] * len(SHAPES)).astype(jnp.int32),
        centre=draws[:, 15:17] * 1.4 - 0.7 - drift * time,
        radius=0.16 + 0.06 * draws[:, 17],
        angle=draws[:, 18] * 6,
    )
    tones = (jnp.broadcast_to(0.35 + 0.4 * draws[:, 19:20], (len(draws), 3)), palette[color])
    things = zip((1, 2), (grey, described), tones, (0.6, 0.35), strict=True)
    for number, thing, tone, distance in things:
        covered = cover(**thing)
        solid = covered > 0.5
        light = 1 - 0.2 * (y + 1)
        image += covered[..., None] * (light[..., None] * tone[:, None, None] - image)
        depth = jnp.where(solid, whole(distance - 0.4 * (thing["radius"] - 0.3)), depth)
        segmentation = jnp.where(solid, whole(thing["kind"]) + 1, segmentation)
        objects = jnp.where(solid, number, objects)
    return {
        "image": jnp.round(jnp.clip(image, 0, 1) * 255).astype(jnp.uint8),
        "label": shape,
        "depth": depth,
        "segmentation": segmentation,
        "caption": caption_tokens(values),
        "attributes": values,
        "index": jnp.asarray(index, jnp.int32),
        "objects": objects,
    }


def film(index: jax.Array, *, side: int, frames: int, split: str = "train") -> jax.Array:
    """Draws the scenes in motion.

    Returns:
        uint8 [B, frames, side, side, 3].
    """
    moments = jnp.arange(frames, dtype=jnp.float32)
    return jax.vmap(lambda time: render(index, side=side, split=split, time=time)["image"], out_axes=1)(
        moments
    )


def sound(index: jax.Array, *, seconds: float = 1.0, split: str = "train") -> jax.Array:
    """Makes the scenes' sounds: shape sets the timbre, size the pitch, color the tremolo; noise is added.

    Returns:
        float32 [B, seconds * SOUND_RATE] in [-1, 1].
    """
    values, draws = attributes(index, split=split), _draws(index, split)
    moments = jnp.arange(round(seconds * SOUND_RATE)) / SOUND_RATE
    pitch = jnp.where(values[:, 3] == 1, 140.0, 320.0) * (0.95 + 0.1 * draws[:, 12])
    harmonic = jnp.arange(1, 9)
    # Ten timbres: how strong each of eight harmonics is, a fixed table.
    timbre = jnp.asarray(np.random.default_rng(7).dirichlet(np.ones(8) * 0.5, len(SHAPES)), jnp.float32)[
        values[:, 0]
    ]
    angle = 2 * jnp.pi * pitch[:, None, None] * harmonic[:, None] * moments
    tone = (timbre[..., None] * jnp.sin(angle)).sum(1)
    tremolo = 0.75 + 0.25 * jnp.sin(2 * jnp.pi * (2 + values[:, 1:2]) * moments)
    noise = uniform(sample_keys(jax.random.key(7), jnp.asarray(index)), -0.05, 0.05, shape=(moments.size,))
    return jnp.clip(0.9 * tone * tremolo + noise, -1, 1)


FIELDS = ("caption", "attributes", "depth", "segmentation")


@partial(jax.jit, static_argnames=("unseen", "side", "wanted"))
def _drawn(index, *, number, unseen, side, wanted):
    """Draws scenes; training and test scenes share one program, whose argument `number` is the split's."""
    drawn = _render(index, _draws_of(index, number), unseen=unseen, side=side)
    return {name: drawn[name] for name in wanted}


def scenes(
    *,
    split: str = "train",
    side: int = 32,
    count: int | None = None,
    label: str = "shape",
    fields: Sequence[str] = FIELDS,
) -> Source:
    """Draws scenes into memory, with captions, depth and segmentation as extras.

    Args:
        split: "train", "test" or "unseen".
        side: pixels.
        count: how many, by default 8,192 to train on and 1,024 others.
        label: which of `ATTRIBUTES` is the class.
        fields: what else of `render`'s results becomes an extra, such as "objects".
    Returns:
        A `Source` whose extras are the fields.
    Raises:
        ValueError: for an unknown label.
    """
    if label not in ATTRIBUTES:
        raise ValueError(f"scenes can be labelled by {', '.join(ATTRIBUTES)}, got {label!r}")
    count = count or (8192 if split == "train" else 1024)
    wanted = ("image", "attributes", *fields)

    draw = partial(_drawn, number=_number(split), unseen=split == "unseen", side=side, wanted=wanted)
    parts = [jax.device_get(draw(np.arange(i, i + 512, dtype=np.int32))) for i in range(0, count, 512)]
    arrays = {name: np.concatenate([part[name] for part in parts])[:count] for name in parts[0]}
    extras = {name: arrays[name] for name in fields}
    labels, names = arrays["attributes"][:, ATTRIBUTES.index(label)], _COLUMNS[label]
    return from_arrays(arrays["image"], labels, class_names=names, name=f"scenes:{label}", **extras)
