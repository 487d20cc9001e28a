"""How fast views are made, beside SimCLR's two in Pillow, and in torchvision where it is installed.

python -m benchmarks.views                     # 32 and 224 pixels, on one CPU core
python -m benchmarks.views --sizes 224 --batch 256 --device   # the accelerator, in milliseconds
"""

import argparse
import os
import random
import time

import numpy as np

VIEWS = ("simclr", "moco_v2", "byol", "dino", "ibot", "dinov2", "swav", "mae", "infomin")


def pictures(number, side):
    """Random pictures, noise at several scales, as compressible as a photograph: uint8 [number, side, side,
    3].
    """
    rng = np.random.default_rng(0)
    result = np.zeros((number, side, side, 3))
    for grain in (4, 16, 64):
        cells = -(-side // grain)
        noise = rng.normal(0, 40, (number, cells, cells, 3))
        result += noise.repeat(grain, 1).repeat(grain, 2)[:, :side, :side]
    return np.clip(result + 128, 0, 255).astype(np.uint8)


def pil_simclr(size):
    """One SimCLR view in PIL and NumPy, as torchvision's transforms on PIL images do it: image -> float
    array.
    """
    from PIL import Image, ImageEnhance, ImageFilter

    mean, std = np.array([0.485, 0.456, 0.406], np.float32), np.array([0.229, 0.224, 0.225], np.float32)
    strength = 1.0 if size >= 64 else 0.5

    def crop(image):
        width, height = image.size
        for _ in range(10):
            area = width * height * random.uniform(0.08, 1)
            aspect = np.exp(random.uniform(np.log(3 / 4), np.log(4 / 3)))
            w, h = round((area * aspect) ** 0.5), round((area / aspect) ** 0.5)
            if w <= width and h <= height:
                left, top = random.randint(0, width - w), random.randint(0, height - h)
                return image.resize((size, size), Image.BICUBIC, (left, top, left + w, top + h))
        return image.resize((size, size), Image.BICUBIC)

    def hue(image):
        h, s, v = image.convert("HSV").split()
        turned = np.asarray(h) + np.uint8(round(random.uniform(-0.2, 0.2) * strength * 255) % 256)
        return Image.merge("HSV", (Image.fromarray(turned), s, v)).convert("RGB")

    def enhance(kind):
        return lambda image: kind(image).enhance(
            random.uniform(max(0, 1 - 0.8 * strength), 1 + 0.8 * strength)
        )

    jitter = [
        enhance(kind) for kind in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)
    ] + [hue]

    def view(image):
        image = crop(image)
        if random.random() < 0.5:
            image = image.transpose(Image.FLIP_LEFT_RIGHT)
        if random.random() < 0.8:
            for change in random.sample(jitter, 4):
                image = change(image)
        if random.random() < 0.2:
            image = image.convert("L").convert("RGB")
        if size >= 64 and random.random() < 0.5:
            image = image.filter(ImageFilter.GaussianBlur(random.uniform(0.1, 2.0)))
        return (np.asarray(image, np.float32) / 255 - mean) / std

    return view


def torchvision_simclr(size):
    """The same view by torchvision's transforms on Pillow images: image -> float tensor; None without
    torchvision.
    """
    try:
        import torch
        from torchvision import transforms as t
    except ImportError:
        return None
    torch.set_num_threads(1)
    strength = 1.0 if size >= 64 else 0.5
    jitter = t.ColorJitter(0.8 * strength, 0.8 * strength, 0.8 * strength, 0.2 * strength)
    blur = [t.RandomApply([t.GaussianBlur(size // 20 * 2 + 1, (0.1, 2.0))], 0.5)] if size >= 64 else []
    return t.Compose(
        [
            t.RandomResizedCrop(size, interpolation=t.InterpolationMode.BICUBIC),
            t.RandomHorizontalFlip(),
            t.RandomApply([jitter], 0.8),
            t.RandomGrayscale(0.2),
            *blur,
            t.ToTensor(),
            t.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ]
    )


def time_rival(view, canvas, seconds):
    """CPU seconds of two views of one image."""
    from PIL import Image

    images = [Image.fromarray(array) for array in pictures(16, canvas)]
    done, start = 0, time.process_time()
    while time.process_time() - start < seconds:
        image = images[done % len(images)]
        view(image), view(image)
        done += 1
    return (time.process_time() - start) / done


def time_views(name, size, canvas, batch, seconds, clock):
    """Seconds of all views of one image, and the first call's, which compiles."""
    import jax
    import jax.numpy as jnp

    import jssl.data

    run = jax.jit(getattr(jssl.data, name)(size=size))
    data = {"image": jnp.asarray(pictures(batch, canvas)), "index": jnp.arange(batch)}
    first = time.perf_counter()
    jax.block_until_ready(run(jax.random.key(0), data))
    first = time.perf_counter() - first
    done, start = 0, clock()
    while clock() - start < seconds:
        jax.block_until_ready(run(jax.random.key(done), data))  # the views stay on the device
        done += 1
    return (clock() - start) / done / batch, first


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[32, 224])
    parser.add_argument("--views", nargs="+", default=VIEWS, choices=VIEWS)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument(
        "--device", action="store_true", help="the default accelerator instead of one CPU core"
    )
    options = parser.parse_args()
    if not options.device:
        os.environ["JAX_PLATFORMS"] = "cpu"
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    clock = time.perf_counter if options.device else time.process_time
    for size in options.sizes:
        canvas = size if size < 64 else round(size * 256 / 224)
        print(f"{size} px from {canvas} px, batch {options.batch}")
        rivals = {"Pillow": pil_simclr(size), "torchvision": torchvision_simclr(size)}
        times = {name: time_rival(view, canvas, options.seconds) for name, view in rivals.items() if view}
        for name, each in times.items():
            print(f"  {name + ' simclr':18} {1 / each:9.0f} images/s on one core", flush=True)
        for name in options.views:
            each, first = time_views(name, size, canvas, options.batch, options.seconds, clock)
            ratios = [f", {time / each:.1f} x {rival}" for rival, time in times.items() if name == "simclr"]
            whole = f"{each * options.batch * 1e3:.1f} ms per batch, first call {first:.1f} s"
            print(f"  {name:18} {1 / each:9.0f} images/s{''.join(ratios)} ({whole})", flush=True)


if __name__ == "__main__":
    main()
