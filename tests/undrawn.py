"""Pictures of one pixel, for runs whose report no test looks at: to draw its pictures takes seconds."""

import io

from PIL import Image


def one_pixel(figure, *, format, **how) -> bytes:
    """Stands for what makes a file of a figure."""
    if format == "svg":
        return b'<svg xmlns="http://www.w3.org/2000/svg"></svg>'
    buffer = io.BytesIO()
    Image.new("RGB", (1, 1)).save(buffer, format)
    return buffer.getvalue()


def draw_nothing() -> None:
    """For the rest of the process."""
    from jssl.evaluate.figures import style

    style._saved = one_pixel
