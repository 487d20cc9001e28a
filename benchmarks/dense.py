"""Evaluates patch tokens of a network trained on scenes, beside a random network and raw pixels.

    python -m benchmarks.dense                                # trains iBOT's demo, then measures
    python -m benchmarks.dense --run runs/ibot                # a run that is there already
    python -m benchmarks.dense --run runs/ibot --figures out  # draws what it sees, as PNG and SVG, too

Segmentation into ground, grey and described object, depth and detection by one linear map of frozen tokens,
search, copies, labels carried along films, and what the class token attends to. Prints a Markdown table.
"""

import argparse
import time
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np

import jssl
from jssl.arrays.patches import patchify
from jssl.data.augment.base import IMAGENET, as_float
from jssl.data.sources.scene_tasks import copy_search, same_object_search, scene_films
from jssl.data.sources.scenes import COLORS, scenes
from jssl.evaluate import figures, nearest_neighbours, protocol, score
from jssl.evaluate.analysis import (
    among_patches,
    attention_distance,
    attention_information,
    attention_rows,
    log_amplitudes,
    masks_of_all,
    tsne,
)
from jssl.evaluate.given import given, look
from jssl.evaluate.protocols.propagation import propagate
from jssl.models.network import network
from jssl.run.settings.systems import module_of

FIELDS = ("depth", "objects")
METRICS = {  # what is shown, and whether more is better
    "linear_segmentation_miou": True,
    "linear_depth_rmse": False,
    "linear_depth_delta1": True,
    "detection_ap50_proxy": True,
    "retrieval_map_easy": True,
    "retrieval_map_medium": True,
    "retrieval_map_hard": True,
    "copies_map": True,
    "copies_recall": True,
    "propagate_jf": True,
    "propagate_j": True,
    "propagate_f": True,
    "attention_segments_jaccard": True,
    "attention_segments_jaccard_mean": True,
}


def view(images):
    """Normalises whole images, without a crop, since labels are those of whole images."""
    return (as_float(images) - np.array(IMAGENET.mean)) / np.array(IMAGENET.std)


def data(side: int, *, train: int, test: int) -> dict:
    """Draws scenes, films, searches and copies.

    Args:
        side: Pixels.
        train: Scenes that probes are trained on.
        test: Scenes that they are tested on.
    Returns:
        {"train", "test": sources, "films": fields, "search", "copies": searches}.
    """
    parts = {"train": train, "test": test}
    drawn = {
        split: scenes(split=split, side=side, count=count, label="color", fields=FIELDS)
        for split, count in parts.items()
    }
    searches = dict(search=same_object_search(side=side), copies=copy_search(side=side))
    return drawn | dict(films=scene_films(side=side)) | searches


def measured(looks, drawn: dict, *, steps: int) -> dict[str, float]:
    """Runs every protocol that `looks` gives enough for.

    Args:
        looks: images -> {"features", "tokens", perhaps "attention"}.
        drawn: As `data`.
        steps: Of each linear map's training.
    Returns:
        {metric: value}.
    """
    there = {}
    for part in ("train", "test"):
        there |= given(part, looks, drawn[part].images, drawn[part].extras, view=view)
        there[f"{part}_whole_features"] = there[f"{part}_features"]
        there[f"{part}_segmentation"] = drawn[part].extras["objects"]  # which object, whatever its shape
    there |= given("film", looks, drawn["films"]["image"], drawn["films"], view=view)
    dense = [protocol(name, steps=steps) for name in ("linear_segmentation", "linear_depth", "detection")]
    attends = ["attention_segments"] if "test_attention" in there else []
    found = score([*dense, *map(protocol, ("propagate", *attends))], **there)
    search, copies = drawn["search"], drawn["copies"]
    for part, images in (
        ("query", search.queries),
        ("gallery", search.gallery),
        ("copy", copies.queries),
        ("original", copies.gallery),
        ("whitening", drawn["train"].images),
    ):
        there |= given(part, looks, images, view=view)
    answers = dict(relevance=search.relevance, copied=copies.relevance)
    return found | score(map(protocol, ("retrieval", "copies")), **there, **answers)


def pixels(patch: int):
    """Makes the function that returns raw pixels as features and tokens."""
    return lambda images: {"features": images.reshape(len(images), -1), "tokens": patchify(images, patch)}


def table(rows: dict[str, dict[str, float]]) -> str:
    """Writes metrics as Markdown, bold where what was learned is the best."""
    lines = [f"| | {' | '.join(rows)} |", "|---|" + "---|" * len(rows)]
    for metric, more in METRICS.items():
        values = [row.get(metric, np.nan) for row in rows.values()]
        best = np.nanmax(values) if more else np.nanmin(values)
        cells = ["-" if np.isnan(value) else f"{value:.3f}" for value in values]
        cells[-1] = f"**{cells[-1]}**" if values[-1] == best else cells[-1]
        lines.append(
            f"| {metric.replace('_', ' ')}{'' if more else ' (less is better)'} | {' | '.join(cells)} |"
        )
    return "\n".join(lines)


def draw(out: Path, module, networks: dict, drawn: dict) -> None:
    """Draws figures of the networks' features, attention and predictions.

    Args:
        out: The folder to write to.
        module: The encoder.
        networks: {name: variables}, what was learned last.
        drawn: As `data`.
    """
    test, films = drawn["test"], drawn["films"]
    some = test.images[:6]
    looks = look(module, networks["learned"])
    seen = given("test", looks, test.images, view=view)
    tokens, attention = (np.asarray(seen[f"test_{name}"]) for name in ("tokens", "attention"))
    grid = module.grid(some.shape)
    _, rows = nearest_neighbours(seen["test_features"], seen["test_features"][:6], k=6)
    neighbours = np.asarray(rows)[:, 1:]
    masks = masks_of_all(attention[:6].mean(1), grid)
    film, frames = 0, slice(0, 6)
    carried = propagate(
        given("film", looks, films["image"][film], view=view)["film_tokens"],
        jax.numpy.asarray(films["objects"][film, 0]),
        classes=3,
    )
    labels = {
        "objects": films["objects"][film, frames],
        "carried along": np.concatenate([films["objects"][film, :1], carried])[frames],
    }
    measures: dict[str, dict] = {"Attention distance, px": {}, "Mutual information": {}}
    spectra = {}
    inputs = view(jax.numpy.asarray(test.images[:64]))
    for name, variables in networks.items():
        blocks = [among_patches(x, grid[0] * grid[1]) for x in attention_rows(module, variables, inputs)]
        reach = [attention_distance(x, grid, patch=module.patch).mean(0) for x in blocks]
        measures["Attention distance, px"][name] = np.stack(reach)
        measures["Mutual information"][name] = np.stack([attention_information(x).mean(0) for x in blocks])
        found, _ = network(module).apply(variables["params"], {}, inputs, collect=("blocks",))
        inner = [x[:, -grid[0] * grid[1] :] for x in found.inner["blocks"]]
        spectra[name] = np.stack([log_amplitudes(x, grid) for x in inner])
    made = {
        "attention_heads": figures.attention_maps(some, attention[:6], grid),
        "attention_segments": figures.attention_segments(some, attention[:6], grid),
        "patch_pca": figures.patch_pca(test.images[:8], tokens[:8], grid),
        "neighbours": figures.neighbour_gallery(
            some, test.labels[:6], test.images[neighbours], test.labels[neighbours], names=tuple(COLORS)
        ),
        "masks": figures.mask_gallery(some, masks, grid),
        "film": figures.label_gallery(
            films["image"][film, frames], labels, columns=[f"frame {i}" for i in range(6)]
        ),
        "features": figures.feature_map(
            tsne(seen["test_features"]),
            test.labels,
            names=tuple(COLORS),
            heading="Features by t-SNE, by color",
        ),
        "attention_by_block": figures.layer_curves(measures),
        "spectrum_by_block": figures.spectrum_curves(spectra),
    }
    out.mkdir(parents=True, exist_ok=True)
    for name, figure in made.items():
        (out / f"{name}.png").write_bytes(figures.png(figure))
        (out / f"{name}.svg").write_bytes(figures.svg(figure))
    print(f"{len(made)} figures: {out}")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--system", default="ibot", help="whose demo is trained: one with a ViT")
    parser.add_argument("--run", type=Path, help="the directory of a run, in place of training one")
    parser.add_argument("--updates", type=int, help="steps of the demo, in place of its own")
    parser.add_argument("--side", type=int, default=24, help="of the scenes, in pixels")
    parser.add_argument("--train", type=int, default=1024)
    parser.add_argument("--test", type=int, default=512)
    parser.add_argument("--steps", type=int, default=500, help="of each linear map's training")
    parser.add_argument("--figures", type=Path, help="where to draw what is seen")
    arguments = parser.parse_args()

    began = time.process_time()
    if arguments.run is None:
        arguments.run = Path("runs/dense") / arguments.system
        demo, bare = module_of(arguments.system).demo, scenes(label="color")
        # so that nothing is probed
        bare = replace(bare, labels=np.full_like(bare.labels, -1), class_names=())
        demo = replace(demo, data=bare, steps=arguments.updates or demo.steps)
        jssl.run(demo, out=str(arguments.run))
    run = jssl.open_run(arguments.run)
    trained = (time.process_time() - began) / 60
    module, drawn = run.encoder, data(arguments.side, train=arguments.train, test=arguments.test)
    first = view(jax.numpy.asarray(drawn["test"].images[:1]))
    random = jax.jit(module.init)(jax.random.key(1), first)
    networks = {"random network": random, "learned": run.variables}
    rows = {"raw pixels": measured(pixels(module.patch), drawn, steps=arguments.steps)}
    for name, variables in networks.items():
        rows[name] = measured(look(module, variables), drawn, steps=arguments.steps)
    print(table(rows))
    minutes = (time.process_time() - began) / 60
    print(f"\n{arguments.run}; {trained:.1f} CPU minutes of training, {minutes - trained:.1f} of measuring")
    if arguments.figures is not None:
        draw(arguments.figures, module, networks, drawn)


if __name__ == "__main__":
    main()
