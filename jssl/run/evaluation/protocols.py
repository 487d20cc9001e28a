"""Evaluates a network by named protocols; features are computed once and kept.

    jssl evaluate runs/dino --protocol knn linear_dino            a run, on its own data
    jssl evaluate dinov2_vits14 --data folder:/images --protocol knn logistic low_shot
    jssl evaluate train.npz --test test.npz --protocol knn        features, as `jssl embed` writes them
    jssl evaluate runs/dino --protocol knn --set knn.k=10,20,100,200 --baselines

Each protocol is printed with every number that defines it. OUT gets evaluation.json, evaluation.md and
evaluation.html. No protocol chooses anything by the test images.
"""

import argparse
import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jssl import weights
from jssl.data.catalog import FORMS, KINDS, same
from jssl.data.source import DENSE
from jssl.evaluate import PROTOCOLS, Protocol, format_table, protocol, refusal, score
from jssl.evaluate.protocols.base import WIDE, WORDS, heading, is_share, shown
from jssl.evaluate.table import LEARNED, RANDOM, RAW
from jssl.models.encoders.pixels import Pixels
from jssl.run.data.npz import holds
from jssl.run.directory.results import FILE, check_results, in_words, jsonable, merged, sees, write
from jssl.run.evaluation.choosing import catalogue, chosen_protocols
from jssl.run.evaluation.features import check_made_alike, store
from jssl.run.evaluation.subject import Subject
from jssl.run.evaluation.towers import towers_of
from jssl.run.starting import start
from jssl.sharding import check_devices
from jssl.weights.directory import EVALUATED, as_path, is_run, read_config
from jssl.weights.loaded import Loaded
from jssl.weights.own import STEP
from jssl.weights.preprocessing import Preprocess

USUAL = ("knn", "linear")
LOOKED_AT = {
    "train": "training images",
    "test": "test images",
    "caption": "captions",
    "film": "films",
    "query": "queries",
    "gallery": "images to search",
    "copy": "copies",
    "original": "originals and others",
    "whitening": "images to learn whitening from",
}
FOLDER = "evaluation"  # inside a run's directory
# settings without effect on files of features
IMAGES_ONLY = ("data_dir", "size", "sets", "vocabulary", "templates")
ONE_NETWORK = ("fine_tune", "prompts", "caption_embeddings", "sets")  # what baselines are not given
DEAR = (*WIDE, "attention")  # last words of needs that take a pass over the images


def evaluate(
    source: str | Path | Loaded,
    *,
    data: str | None = None,
    protocols: Sequence[str | Protocol] = USUAL,
    out: str | Path | None = None,
    test: str | None = None,
    baselines: bool = False,
    cache: str | Path | None = None,
    say: Callable[[str], None] = lambda text: None,
    **settings: Any,
) -> list[dict[str, Any]]:
    """Evaluates a network, or features of it, by protocols.

    Args:
        source: Weights, as `jssl.weights.load` takes them, the directory of a run, or a file of features.
        data: The data's name; by default that of the run.
        protocols: Names, or protocols made by `jssl.evaluate.protocol`.
        out: The directory for the results; by default `evaluation` in the run's, else
            runs/evaluation/<source>.
        test: Features of the test split, where source is a file of features.
        baselines: Whether raw pixels and the same network with random weights are evaluated too.
        cache: Where features are kept; by default in the user's cache directory.
        say: Where lines for the reader go.
        **settings: Of `Subject`: data_dir, size, batch, sets, vocabulary, templates, bar.
    Returns:
        What evaluation.json holds: for each protocol and network its settings, metrics and seconds, and what
        it was run on.
    Raises:
        ValueError: where source, data or protocols are not found or do not fit.
    """
    check_devices()
    source = source if isinstance(source, Loaded) else str(source)
    chosen = [protocol(one) if isinstance(one, str) else one for one in protocols]
    subject = _subject(source, data, test, store(cache), say, settings)
    place = _place(source) if out is None else as_path(out)
    check_results(place)
    subject.fine_tune = None if subject.loaded is None else _fine_tuning(source, subject, place)
    found: list[dict[str, Any]] = []
    name = source if isinstance(source, str) else source.family
    last = "there is no protocol to run"
    for one in [subject, *(_baselines(subject) if baselines else ())]:
        for each in chosen:
            if one is not subject and not set(each.needs).isdisjoint(ONE_NETWORK):
                continue
            try:
                found.append(_scored(each, one, _network_in_words(source, one)))
            except ValueError as error:  # the other protocols go on
                reason = str(error)
                last = reason if reason.startswith(each.name) else f"{each.name}: {reason}"
                say(f"\n{one.name}: {last}")
            else:
                write(place, name, merged(place, found[-1:]))  # whatever comes next, this is kept
    if not found:
        raise ValueError(last)
    say(f"results: {place / FILE}, and a report beside it")
    return found


def _subject(source, data, test, directory, say, settings) -> Subject:
    is_file = isinstance(source, str) and source.endswith(".npz") and _holds_features(source)
    if is_file:
        given = (data is not None and "data", *(name for name in IMAGES_ONLY if settings.get(name)))
        if unused := [f"--{name.replace('_', '-')}" for name in given if name]:
            raise ValueError(
                f"{source} holds features, which {' and '.join(unused)} cannot change; leave it out, or give "
                "weights"
            )
        if test is not None and Path(test).exists() and Path(test).samefile(source):
            raise ValueError(
                f"--test {test} is the file of the training features itself, so that nothing would be held "
                "out; give features of other images, or leave it out, and a tenth is held out"
            )
        check_made_alike(source, test)
        files = tuple(Path(one) for one in (source, test) if one is not None)
        return Subject(LEARNED, None, "", files, directory, say=say, **settings)
    if test is not None:
        raise ValueError(
            "--test goes with a file of features; a network finds the test split of --data itself"
        )
    config = read_config(source) if _is_run(source) else {}
    own = config.get("settings", {})
    if data is None and own:
        data, directory_of_data = _own_data(source, config)
        settings["data_dir"] = settings.get("data_dir") or directory_of_data
    if data is not None and isinstance(own.get("data"), str) and same(data, own["data"]):
        data, settings["only"] = own["data"], own.get("only")  # what the run held out is held out here
    if data is None:
        raise ValueError(f"say on which images: --data, one of {', '.join(FORMS)}")
    loaded = source if isinstance(source, Loaded) else weights.load(source)
    if not isinstance(loaded.preprocess, Preprocess):
        raise ValueError(f"jssl evaluate is for images; {loaded.family} takes others")
    towers = towers_of(source) if config else None
    return Subject(LEARNED, loaded, data, (), directory, towers=towers, say=say, **settings)


def _own_data(source: str, config: Mapping[str, Any]) -> tuple[str, str | None]:
    """The name of what a run was trained on, and where TFDS has its data sets."""
    own, info = config["settings"], config.get("data")
    name = str(info.get("name", "") if isinstance(info, Mapping) else "")
    if not isinstance(own.get("data"), str) or name.partition(":")[0] not in KINDS:
        raise ValueError(
            f"{source} was trained on data that was handed over in Python, {name}; say on which images: "
            f"--data, one of {', '.join(FORMS)}"
        )
    return own["data"], own.get("data_dir")


def _holds_features(path: str) -> bool:
    return holds(path, "features", what="features")


def _is_run(source: Any) -> bool:
    return isinstance(source, str) and is_run(source)


def _place(source: Any):
    if _is_run(source):
        return as_path(source) / FOLDER
    name = source.family if isinstance(source, Loaded) else Path(source.rstrip("/")).stem or "network"
    return as_path("runs") / FOLDER / name


def _baselines(subject: Subject) -> list[Subject]:
    """Raw pixels and the same architecture with random weights."""
    if subject.loaded is None:
        raise ValueError("--baselines needs a network; of features alone there is nothing to compare with")
    loaded, pixels = subject.loaded, subject.pixels
    image = np.zeros((1, pixels.crop, pixels.crop, len(pixels.mean)), np.float32)
    others = {
        RANDOM: replace(loaded, variables=jax.jit(loaded.encoder.init)(jax.random.key(0), image)),
        RAW: replace(
            loaded, encoder=Pixels(patch=getattr(loaded.encoder, "patch", None)), variables={"params": {}}
        ),
    }
    return [
        replace(subject, name=name, loaded=replace(other, heads={}, layout=None), towers=None, _splits={})
        for name, other in others.items()
    ]


def _fine_tuning(source, subject: Subject, place):
    def fine_tune(settings: Mapping[str, Any]) -> dict[str, float]:
        own = ("data", "data_dir", "only", "size")
        where = {name: getattr(subject, name) for name in own} | dict(settings)
        asked = json.dumps([subject.mark, where], sort_keys=True)  # a run that goes on keeps its name
        mark = hashlib.blake2b(asked.encode(), digest_size=4).hexdigest()
        directory = str(place / f"fine_tune-{mark}")
        subject.say(f"fine-tuning in {directory}")
        try:
            run = start("fine_tune", start=source, out=directory, **where)
        except ValueError as error:  # whose flags are not those of this command
            advice = "its settings, such as batch, are changed by --set PROTOCOL.batch=32"
            raise ValueError(f"{error}; {advice}") from None
        if "head_top1" not in run.table.get(LEARNED, {}):
            raise ValueError(f"{subject.data} has no labelled test images to measure fine-tuning by")
        return {"top1": run.table[LEARNED]["head_top1"]}

    return fine_tune


def _scored(one: Protocol, subject: Subject, network: str) -> dict[str, Any]:
    """Runs a protocol; returns its entry of evaluation.json: settings, data and metrics."""
    say = subject.say
    begun = time.perf_counter()
    given = _given(one, subject)
    rows = _rows(given)
    say(f"\n{one.name} of {subject.name} on {subject.data or 'features'}: {', '.join(rows)}")
    say(
        "  "
        + (", ".join(f"{name} {in_words(value)}" for name, value in one.settings.items()) or "no settings")
    )
    computing = time.perf_counter()
    metrics = score([one], **given)
    seconds = time.perf_counter() - computing
    for metric, value in metrics.items():
        unit = " %" if is_share(metric) else ""
        say(f"  {heading(metric).removesuffix(', %')} {shown(metric, value)}{unit}")
    say(f"  in {seconds:.1f} s, after {computing - begun:.1f} s for what it looks at")
    return {
        "protocol": one.name,
        "main": one.headline,
        "metrics": {name: float(value) for name, value in metrics.items()},
        "settings": {name: jsonable(value) for name, value in one.settings.items()},
        "row": subject.name,
        "network": network,
        "data": subject.data or ", ".join(map(str, subject.features)),
        "looked_at": rows,
        **_step(subject),
        "notes": list(subject.notes),
        "seconds": round(seconds, 3),
    }


def _step(subject: Subject) -> dict[str, int]:
    """The step at which a run was opened."""
    config = {} if subject.loaded is None else subject.loaded.config
    return {STEP: config[STEP]} if EVALUATED in config and STEP in config else {}


def _given(one: Protocol, subject: Subject) -> dict[str, Any]:
    """Computes what a protocol needs; passes over images come last, if nothing else is missing."""
    dear = [name for name in one.needs if name.endswith(DEAR)]
    given: dict[str, Any] = {}
    for names in ([name for name in one.needs if name not in dear], dear):
        given |= {name: subject.given(name) for name in names}
        missing = {name: True for name in dear if name not in given}
        if reason := refusal(one, given | missing):
            raise ValueError(reason)
        for name in names:
            if not name.endswith(DENSE) and not _finite(given.get(name)):
                raise ValueError(f"{one.name} is left out: {WORDS.get(name, name)} are not all finite")
    return given


def _finite(values: Any) -> bool:
    """Tells whether all arrays of a need are finite, such as those of each film and of each set."""
    arrays = [x for x in jax.tree.leaves(values) if isinstance(x, np.ndarray | jax.Array) and x.size]
    return all(np.isfinite([x.min(), x.max()]).all() for x in arrays)


def _rows(given: Mapping[str, Any]) -> list[str]:
    """The data that a protocol is run on, in words."""
    words = []
    for part, name in LOOKED_AT.items():
        for kind in (*DEAR, "embeddings"):
            if (found := given.get(f"{part}_{kind}")) is not None:
                each = found[0].shape if isinstance(found, list) else found.shape[1:]
                words.append(f"{len(found):,} {name} as {kind} of {' x '.join(map(str, each))}")
    if given.get("classes"):
        words.append(f"{given['classes']} classes")
    if given.get("prompts") is not None:
        words.append(f"{given['prompts'].shape[1]} sentences for each class")
    return words or [f"{', '.join(given)}"]


def _network_in_words(source, subject: Subject) -> str:
    """The network and its preprocessing, in words."""
    if subject.loaded is None:
        return "features of a file"
    loaded, pixels = subject.loaded, subject.pixels
    kind, part = type(loaded.encoder).__name__, loaded.config.get(EVALUATED, {}).get("params") or loaded.part
    name = source if isinstance(source, str) else loaded.family
    of = f" of {name}{f', {part}' if part else ''}" if subject.name == LEARNED else f", images as for {name}"
    return f"{subject.name}: {kind}{of}; {sees(pixels.size, pixels.crop, pixels.squash)}"


def main(arguments: list[str]) -> None:
    """The command `jssl evaluate`."""
    parser = argparse.ArgumentParser(
        prog="jssl evaluate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", nargs="?", help="weights, the directory of a run, or features.npz")
    parser.add_argument("--list", action="store_true", help="show all protocols with their settings, and end")
    parser.add_argument("--data", help=f"one of {', '.join(FORMS)}; by default the run's own")
    parser.add_argument("--data-dir", help="where TFDS has its data sets")
    parser.add_argument("--test", help="features of the test split, beside features.npz")
    parser.add_argument("--protocol", nargs="+", default=list(USUAL), help=f"of {', '.join(PROTOCOLS)}")
    parser.add_argument("--set", nargs="+", default=[], help="such as knn.k=10,20 linear_dino.epochs=10")
    parser.add_argument("--baselines", action="store_true", help="also raw pixels and random weights")
    parser.add_argument("--sets", nargs="+", default=[], help="further data, for transfer")
    parser.add_argument("--vocabulary", help="CLIP's bpe_simple_vocab_16e6.txt.gz, for zero_shot")
    parser.add_argument("--templates", help="a file of sentences with {} for the class, for zero_shot")
    parser.add_argument("--size", type=int, help="side of the prepared images, in place of the publisher's")
    parser.add_argument("--batch", type=int, default=64, help="images at a time")
    parser.add_argument("--out", help="the directory for the results; by default in the run's")
    parser.add_argument("--cache", help="where features are kept; by default in the user's cache directory")
    chosen = vars(parser.parse_args(arguments))
    if chosen.pop("list"):
        print(catalogue())
        return
    if chosen["source"] is None:
        raise ValueError("say what to evaluate: weights, the directory of a run, or features.npz")
    if chosen["size"] is not None and chosen["size"] < 1 or chosen["batch"] < 1:
        raise ValueError("--size and --batch must be at least 1")
    protocols = chosen_protocols(chosen.pop("protocol"), chosen.pop("set"))
    if (file := chosen.pop("templates")) is not None:
        chosen["templates"] = [line.strip() for line in Path(file).read_text().splitlines() if line.strip()]
        if wrong := next((line for line in chosen["templates"] if line.count("{}") != 1), None):
            raise ValueError(f"--templates {file}: each line has one {{}} for the class, not {wrong!r}")
    chosen["sets"] = tuple(chosen["sets"])
    found = evaluate(protocols=protocols, bar=True, say=print, **chosen)
    table: dict[str, dict[str, float]] = {}
    for entry in found:
        table.setdefault(entry["row"], {})[entry["main"]] = entry["metrics"][entry["main"]]
    print(f"\n{format_table(table)}")
