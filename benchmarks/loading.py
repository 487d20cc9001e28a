"""How fast images are read: the loader beside a plain Pillow loop, and torch's DataLoader where torch is
installed.

    python -m benchmarks.loading                  # JPEG files of 32 and 224 pixels, and larger ones

The plain loops resize every image to a square, as most do. The loader keeps the whole of larger images, on
canvases of 512 pixels from which crops are taken later.

One reader runs on each core, all at the same time, as on a busy machine. The figures are images per second of
CPU time, which other work disturbs little, and per second of wall-clock time, of all readers together. The
files are made in a temporary folder.
"""

import argparse
import multiprocessing
import os
import tempfile
import time
import warnings

import numpy as np

# Size of the files, side of the plain loops' squares, side of the loader's canvases, how many files.
CASES = {
    "32 px": ((32, 32), 32, 32, 4000),
    "224 px": ((224, 224), 224, 224, 600),
    "500 x 375": ((500, 375), 224, 512, 400),
    "1600 x 1200": ((1600, 1200), 224, 512, 100),
}


def photographs(size, number):
    """Windows of two photographs, seen at this size: Pillow images."""
    from PIL import Image
    from sklearn.datasets import load_sample_images

    rng, photos = np.random.default_rng(0), [Image.fromarray(array) for array in load_sample_images().images]
    for i in range(number):
        photo = photos[i % 2]
        share = rng.uniform(0.6, 1) * min(photo.width / size[0], photo.height / size[1])
        width, height = share * size[0], share * size[1]
        left, top = rng.uniform(0, photo.width - width), rng.uniform(0, photo.height - height)
        yield photo.resize(size, Image.Resampling.BICUBIC, (left, top, left + width, top + height))


def make_files(root, size, number):
    """JPEG files in ten class folders."""
    images = list(photographs(size, 16))
    for i in range(10):
        os.makedirs(os.path.join(root, f"class{i}"))
    for i in range(number):
        images[i % 16].save(os.path.join(root, f"class{i % 10}", f"{i:05d}.jpg"), quality=90)


def read_plain(path, canvas):
    from PIL import Image

    with Image.open(path) as image:
        return np.asarray(image.convert("RGB").resize((canvas, canvas), Image.Resampling.BILINEAR))


def measure(step, seconds):
    """(images per CPU second, images per second) of a function that reads some images and says how many."""
    step()
    done, clock, cpu = 0, time.perf_counter(), time.process_time()
    while time.perf_counter() - clock < seconds:
        done += step()
    return done / (time.process_time() - cpu), done / (time.perf_counter() - clock)


def plain_loop(files, canvas, batch):
    state = {"next": 0}

    def step():
        rows = [files.describe((state["next"] + i) % len(files)) for i in range(batch)]
        state["next"] += batch
        return len(np.stack([read_plain(path, canvas) for path in rows]))

    return step


def jssl_loader(files, canvas, batch):
    from jssl.data.reading.loader import loader

    batches = loader(files, batch=batch, canvas=canvas)
    return lambda: len(next(batches)["image"])


def torch_loader(files, canvas, batch):
    """None without torch."""
    try:
        import torch
    except ImportError:
        return None

    warnings.filterwarnings("ignore", message="The given NumPy array is not writable")

    class Images(torch.utils.data.Dataset):
        def __len__(self):
            return len(files)

        def __getitem__(self, index):
            return read_plain(files.describe(index), canvas), int(files.labels[index])

    def endless():
        while True:
            yield from torch.utils.data.DataLoader(Images(), batch_size=batch, shuffle=True, drop_last=True)

    batches = endless()
    return lambda: len(next(batches)[0])


READERS = {"Pillow loop": plain_loop, "torch DataLoader": torch_loader, "jssl loader": jssl_loader}


def measure_on(core, label, root, canvas, batch, seconds):
    """One reader on a core of its own; None where it is not installed."""
    from jssl.data.sources.folder import folder

    os.sched_setaffinity(0, {core})
    step = READERS[label](folder(root), canvas, batch)
    return step and measure(step, seconds)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--batch", type=int, default=64)
    options = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    for name, (size, square, canvas, number) in CASES.items():
        print(name)
        with tempfile.TemporaryDirectory() as root:
            make_files(root, size, number)
            base = None
            for label in READERS:
                side = canvas if label == "jssl loader" else square
                asked = [(core, label, root, side, options.batch, options.seconds) for core in cores]
                with multiprocessing.get_context("spawn").Pool(len(cores), maxtasksperchild=1) as pool:
                    measured = pool.starmap(measure_on, asked, chunksize=1)
                if None in measured:
                    continue
                per_cpu, per_clock = map(sum, zip(*measured, strict=True))
                base = base or per_cpu
                ratio = f"{per_cpu / base:4.1f} x"
                figures = (
                    f"{per_cpu / len(cores):7.0f} images per CPU second {ratio}, {per_clock:7.0f} per second"
                )
                print(f"  {label:18} {figures}", flush=True)


if __name__ == "__main__":
    main()
