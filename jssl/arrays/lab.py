"""CIE Lab: lightness and two color axes, in which equal distances look equally large."""

import jax
import jax.numpy as jnp
import numpy as np

TO_XYZ = np.array(  # from linear sRGB, with the white point D65
    [[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]]
)
WHITE = np.array([0.95047, 1.0, 1.08883])
KNEE = 6 / 29  # Lab replaces the cube root by a line where the root is below this


def rgb_to_lab(images: jax.Array) -> jax.Array:
    """Converts sRGB to Lab, in float32 at least.

    Args:
        images: [..., 3] in [0, 1].
    Returns:
        [..., 3]: lightness in [0, 100]; a, green to red; b, blue to yellow: both in about [-110, 110].
    Raises:
        ValueError: for other numbers of channels.
    References:
        IEC 61966-2-1; CIE 15
    Examples:
        >>> rgb_to_lab(jnp.ones(3)).round(1).tolist()[0]
        100.0
    """
    if images.shape[-1] != 3:
        raise ValueError(f"colors need images of 3 channels, got shape {images.shape}")
    images = images.astype(jnp.promote_types(images.dtype, jnp.float32))
    curved = ((jnp.maximum(images, 0.04045) + 0.055) / 1.055) ** 2.4
    linear = jnp.where(images > 0.04045, curved, images / 12.92)
    x = jnp.einsum(
        "...c,kc->...k", linear, (TO_XYZ / WHITE[:, None]).astype(linear.dtype), precision="highest"
    )
    root = jnp.where(x > KNEE**3, jnp.cbrt(jnp.maximum(x, KNEE**3)), x / (3 * KNEE**2) + 4 / 29)
    x, y, z = root[..., 0], root[..., 1], root[..., 2]
    return jnp.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def lab_to_rgb(lab: jax.Array) -> jax.Array:
    """Converts Lab to sRGB; colors outside of sRGB are clipped.

    Args:
        lab: [..., 3] as `rgb_to_lab` makes it.
    Returns:
        [..., 3] in [0, 1].
    Examples:
        >>> [round(float(x), 3) for x in lab_to_rgb(rgb_to_lab(jnp.array([0.2, 0.5, 0.9])))]
        [0.2, 0.5, 0.9]
    """
    middle = (lab[..., 0] + 16) / 116
    root = jnp.stack([middle + lab[..., 1] / 500, middle, middle - lab[..., 2] / 200], axis=-1)
    x = jnp.where(root > KNEE, root**3, 3 * KNEE**2 * (root - 4 / 29))
    linear = jnp.einsum(
        "...k,ck->...c", x, np.linalg.inv(TO_XYZ / WHITE[:, None]).astype(x.dtype), precision="highest"
    )
    linear = jnp.clip(linear, 0, 1)
    curved = 1.055 * jnp.maximum(linear, 0.0031308) ** (1 / 2.4) - 0.055
    return jnp.where(linear > 0.0031308, curved, 12.92 * linear)
