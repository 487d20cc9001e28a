"""SimCLR's step of a ViT-S/16 in torch, which `benchmarks.gpu` compares with: timm, torch.compile, bfloat16
autocast.

Views are torchvision's, made image by image on the device, since every image needs draws of its own.
"""

import os
import statistics
import time


def measure(say, *, batch: int, side: int, canvas: int, hidden: int, tiny: bool, seconds: float, least: int):
    """Measures the model alone, the views alone, and says their sum.

    Args:
        say: called with the figures of a case by name.
        batch: images of a step, of which two views are made.
        side: of a view.
        canvas: the side of the images that views are cut from.
        hidden: width of the projection head.
        tiny: a small network, not compiled.
        seconds: how long to measure a case.
        least: how many calls to measure, even if they take longer.
    """
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    on_gpu = device == "cuda"
    torch.backends.cuda.matmul.allow_tf32 = True
    images = torch.randint(0, 256, (batch, 3, canvas, canvas), dtype=torch.uint8, device=device)
    views = torch.randn(2 * batch, 3, side, side, device=device)
    found = {}

    def wait():
        if on_gpu:
            torch.cuda.synchronize()

    def timed(call, least=least):
        call()
        wait()
        times, begun = [], time.perf_counter()
        while time.perf_counter() - begun < seconds or len(times) < least:
            start = time.perf_counter()
            call()
            wait()
            times.append(time.perf_counter() - start)
        return statistics.median(times)

    def attempt(case, measure):
        if on_gpu:
            torch.cuda.reset_peak_memory_stats()
        start = time.perf_counter()
        try:
            figures = measure()
        except Exception as error:
            say(case=case, error=f"{type(error).__name__}: {' '.join(str(error).split())[:300]}")
            return
        if on_gpu:
            figures["memory_gib"] = round(torch.cuda.max_memory_allocated() / 2**30, 2)
        say(case=case, **figures, whole_s=round(time.perf_counter() - start, 1))

    def model_alone():
        step = training_step(device=device, side=side, hidden=hidden, tiny=tiny)
        each = found["model"] = timed(lambda: step(views))
        return dict(images_per_s=round(batch / each, 1), ms=round(each * 1e3, 2))

    def views_each():
        transform, some = simclr_transform(side), images[: min(batch, 32)]
        each = timed(lambda: torch.stack([transform(x) for _ in range(2) for x in some]), 2) / len(some)
        found["views"] = each * batch
        return dict(images_per_s=round(1 / each, 1), ms=round(each * batch * 1e3, 2), of_images=len(some))

    def views_at_once():  # not usable to train: it shows the speed of the kernels
        transform = simclr_transform(side)
        each = timed(lambda: torch.cat([transform(images), transform(images)]), 2)
        note = "one draw for the whole batch"
        return dict(images_per_s=round(batch / each, 1), ms=round(each * 1e3, 2), note=note)

    def views_on_cpu():
        transform, some, cores = simclr_transform(side), images[:16].cpu(), os.cpu_count() or 1
        torch.set_num_threads(1)
        each = timed(lambda: [transform(x) for _ in range(2) for x in some], 1) / len(some)
        of_one, of_all = round(1 / each, 1), round(cores / each, 1)
        return dict(images_per_s_of_one_core=of_one, images_per_s_of_all_cores=of_all, cores=cores)

    attempt("torch_vit_s16_simclr_256_model_alone", model_alone)
    attempt("torch_views_256_image_by_image_on_device", views_each)
    attempt("torch_views_256_one_draw_on_device", views_at_once)
    attempt("torch_views_cpu", views_on_cpu)
    if set(found) == {"model", "views"}:
        each = sum(found.values())
        figures = dict(images_per_s=round(batch / each, 1), ms=round(each * 1e3, 2), torch=torch.__version__)
    else:
        figures = dict(error="a part of it failed")
    say(case="torch_vit_s16_simclr_256", **figures)


def training_step(*, device: str, side: int, hidden: int, tiny: bool):
    """Builds a step of training: views [2B, 3, H, W] in, parameters moved."""
    import timm
    import torch
    import torch.nn.functional as F

    fields = dict(embed_dim=96, depth=4, num_heads=3, patch_size=8) if tiny else {}
    encoder = timm.create_model("vit_small_patch16_224", num_classes=0, img_size=side, **fields)
    head = torch.nn.Sequential(
        torch.nn.Linear(encoder.num_features, hidden, bias=False),
        torch.nn.BatchNorm1d(hidden),
        torch.nn.ReLU(),
        torch.nn.Linear(hidden, 128, bias=False),
        torch.nn.BatchNorm1d(128),
    )
    model = torch.nn.Sequential(encoder, head).to(device).train()
    fused = True if device == "cuda" else None
    sgd = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-6, fused=fused)
    run = model if tiny else torch.compile(model)

    def step(views):
        with torch.autocast(device, torch.bfloat16):
            z = run(views)
        z = F.normalize(z.float(), dim=1)
        logits = z @ z.T / 0.1
        logits.fill_diagonal_(float("-inf"))
        labels = torch.arange(len(z), device=device).roll(len(z) // 2)
        F.cross_entropy(logits, labels).backward()
        sgd.step()
        sgd.zero_grad(set_to_none=True)

    return step


def simclr_transform(size: int):
    """SimCLR's views by torchvision, of uint8 images [3, H, W] or of a batch of them with one draw for
    all.
    """
    import torch
    from torchvision.transforms import v2

    bicubic = v2.InterpolationMode.BICUBIC
    return v2.Compose(
        [
            v2.RandomResizedCrop(size, scale=(0.08, 1.0), interpolation=bicubic, antialias=True),
            v2.RandomHorizontalFlip(),
            v2.ToDtype(torch.float32, scale=True),
            v2.RandomApply([v2.ColorJitter(0.8, 0.8, 0.8, 0.2)], 0.8),
            v2.RandomGrayscale(0.2),
            v2.RandomApply([v2.GaussianBlur(23, (0.1, 2.0))], 0.5),
            v2.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ]
    )
