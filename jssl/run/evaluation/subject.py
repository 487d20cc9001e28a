"""The subject of an evaluation: a network and a data set, and everything that protocols need of them."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jssl.arrays.keys import fold_keys
from jssl.data import Source, open_records
from jssl.data.augment.base import as_float, chain
from jssl.data.augment.crop import horizontal_flip, random_resized_crop
from jssl.data.reading.bpe import bpe_tokenizer, read_merges
from jssl.data.reading.decode import decoders
from jssl.data.reading.records import Records, in_memory
from jssl.data.source import NoSplit
from jssl.data.sources.scene_tasks import Search
from jssl.data.splits import evenly
from jssl.data.tasks import Films, captions, copy_task, densely_labelled, films, same_search
from jssl.evaluate import extract_features
from jssl.run.data.gather import only_named, without_a_tenth
from jssl.run.evaluation import dense
from jssl.run.evaluation.embed import chooser, read_prepared
from jssl.run.evaluation.features import Columns, computed, matched, met_before, read_columns
from jssl.run.evaluation.marks import mark_of_network
from jssl.run.evaluation.towers import TEMPLATES, Embedded
from jssl.weights.loaded import Loaded
from jssl.weights.preprocessing import Preprocess

IMAGES = 4_000  # of each split, the most that protocols are given as images


@dataclass
class Subject:
    """A network on a data set. Whatever protocols need is computed when the first of them needs it.

    Attributes:
        name: What the network is called in tables.
        loaded: The network; None where there are only its features.
        data: The name of the data; "" where there are only features.
        features: Files of features of the training and, perhaps, of the test split, in place of a network.
        store: The directory where features are kept.
        fine_tune: (settings) -> {metric: value}, which trains the network further; None where it cannot.
        towers: data -> `Embedded`, of a run of images and captions; None for any other.
        sets: Names of further data sets, for transfer.
        data_dir: Where TFDS has its data sets.
        only: A file of `jssl curate` with the names of the only training images to use.
        size: Side of the prepared images, in place of the publisher's.
        batch: Images at a time.
        vocabulary: The tokenizer's file, for networks of images and texts.
        templates: Sentences with {} for the name of a class.
        say: Where lines for the reader go.
        bar: Whether to show progress.
    """

    name: str
    loaded: Loaded | None
    data: str
    features: tuple[Path, ...] = ()
    store: Path = Path()
    fine_tune: Callable[[dict[str, Any]], dict[str, float]] | None = None
    towers: Callable[[str], Embedded | None] | None = None
    sets: tuple[str, ...] = ()
    data_dir: str | None = None
    only: str | None = None
    size: int | None = None
    batch: int = 64
    vocabulary: str | None = None
    templates: Sequence[str] = TEMPLATES
    say: Callable[[str], None] = print
    bar: bool = False
    notes: list[str] = field(default_factory=list)
    _splits: dict[str, tuple[Columns, Columns] | None] = field(default_factory=dict)

    def on(self, data: str) -> "Subject":
        """The same network on other data."""
        return replace(self, data=data, only=None, features=(), notes=[], _splits={})

    mark = cached_property(lambda self: mark_of_network(self.loaded))  # it reads all variables, once

    def splits(self, tokens: str) -> tuple[Columns, Columns] | None:
        """Returns the features of both splits, for rows that have labels, with the same class numbers.

        Args:
            tokens: As `jssl.run.evaluation.embed.chooser`.
        Returns:
            (training rows, test rows); None where there is no network to compute others than `cls`.
        """
        if tokens not in self._splits:
            self._splits[tokens] = self._computed(tokens)
        return self._splits[tokens]

    def _computed(self, tokens):
        if self.loaded is None:
            if tokens != "cls":
                return None
            train, *rest = map(read_columns, self.features)
        else:
            train, *rest = (self.columns(records, tokens) for records in self.records if records is not None)
        train, test, notes = matched(train, rest[0] if rest else None)
        for note in notes + (met_before(train, test) if tokens == "cls" else []):
            self.note(note)
        return train, test

    def note(self, sentence: str) -> None:
        """Tells the reader something about the data, once."""
        if sentence not in self.notes:
            self.notes.append(sentence)
            self.say(f"{self.data or self.features[0]}: {sentence}")

    def columns(self, records: Records, tokens: str) -> Columns:
        """Computes features of records, or reads them from the cache.

        Args:
            records: Images.
            tokens: As `jssl.run.evaluation.embed.chooser`.
        """
        assert self.loaded is not None
        settings: dict[str, Any] = dict(size=self.size, batch=self.batch, say=self.say, bar=self.bar)
        return computed(self.loaded, records, mark=self.mark, tokens=tokens, directory=self.store, **settings)

    @cached_property
    def records(self) -> tuple[Records, Records | None]:
        """The images of the training split, and of the test split; without one, what a run holds out."""
        train = open_records(self.data, data_dir=self.data_dir)
        train = only_named(train, train, self.only)
        try:
            return train, open_records(self.data, data_dir=self.data_dir, split="test")
        except NoSplit:
            train, test, said, _ = without_a_tenth(train)
            if said:
                self.note(said)
            return train, test

    @cached_property
    def labelled(self) -> tuple[Source, Source] | None:
        """The images of both splits, and the labels of their pixels; the same rows as `splits` gives.

        None where pixels have no labels.
        """
        train = None if self.loaded is None else densely_labelled(self.data)
        if train is None:
            return None
        train = only_named(train, in_memory(train), self.only)
        try:
            test = densely_labelled(self.data, split="test")
        except NoSplit:
            test = None

        def numbered(source: Source) -> Columns:
            return Columns(np.arange(len(source))[:, None], source.labels, source.class_names)

        first, other, _ = matched(numbered(train), None if test is None else numbered(test))
        held = train if test is None else test
        return train.some(first.features[:, 0]), held.some(other.features[:, 0])

    @cached_property
    def films(self) -> Films | None:
        """Films with their objects; None where the data has none."""
        return None if self.loaded is None else films(self.data, side=self.pixels.crop)

    @cached_property
    def search(self) -> Search | None:
        """Queries and the gallery that is searched for them; None where the data has none."""
        return None if self.loaded is None else same_search(self.data, side=self.pixels.crop)

    @cached_property
    def copies(self) -> tuple[Search, Records] | None:
        """Copies and the gallery with their originals, and other images; None where the data has none."""
        return None if self.loaded is None else copy_task(self.data, side=self.pixels.crop)

    @cached_property
    def pixels(self) -> Preprocess:
        """The network's preprocessing, at the size that was given."""
        assert self.loaded is not None
        pixels: Any = self.loaded.preprocess
        return pixels if self.size is None else pixels.at(self.size)

    def images(self, split: int) -> np.ndarray:
        """Returns some prepared images, before they are normalised.

        Args:
            split: 0 for training, 1 for test images, the former where there are none.
        Returns:
            uint8 [N, crop, crop, C].
        """
        records = self.records[split] or self.records[0]
        rows = evenly(len(records), IMAGES)
        rows = rows if self.records[1] is not None else rows[split::2]  # of one split, each its own half
        with ThreadPoolExecutor(decoders()) as pool:
            found = pool.map(lambda number: read_prepared(records, int(number), self.pixels)[0], rows)
            return np.stack([image for image in found if image is not None])

    @cached_property
    def _network(self):
        assert self.loaded is not None
        compute = chooser(self.loaded)
        return jax.tree_util.Partial(compute, self.loaded.variables), jax.tree_util.Partial(self.normalised)

    def normalised(self, images: jax.Array) -> jax.Array:
        """Normalises prepared images as the network's publisher does."""
        return self.pixels.normalised(as_float(images))

    def normalised_whole(self, images: jax.Array) -> jax.Array:
        """Normalises whole images, resized to the side that the network sees."""
        size = len(images), self.pixels.crop, self.pixels.crop, images.shape[-1]
        return self.normalised(jnp.clip(jax.image.resize(as_float(images), size, "cubic"), 0.0, 1.0))

    def encode(self, images: np.ndarray) -> np.ndarray:
        """Computes features of prepared images.

        Args:
            images: uint8 [N, crop, crop, C].
        Returns:
            [N, D].
        """
        network, view = self._network
        return np.asarray(extract_features(network, images, batch=self.batch, view=view))

    def views(self, images: int, views: int, seed: int) -> jax.Array:
        """Computes features of several views of some training images: crops of a fifth to all, and flips.

        Args:
            images: How many, at most.
            views: Of each.
            seed: Of the views.
        Returns:
            [images, views, D].
        """
        some, (network, normalised) = self.images(0)[:images], self._network
        view = chain(random_resized_crop(size=self.pixels.crop, scale=(0.2, 1.0)), horizontal_flip())
        of = jax.jit(lambda network, keys, images: network(normalised(view(keys, images))))
        key, found = jax.random.key(seed), []
        for number in range(views):
            keys = fold_keys(jax.random.split(key, len(some)), number)
            parts = [slice(at, at + self.batch) for at in range(0, len(some), self.batch)]
            found.append(jnp.concatenate([of(network, keys[part], some[part]) for part in parts]))
        return jnp.stack(found, axis=1)

    @cached_property
    def embedded(self) -> Embedded:
        """Embeds the test images, prompts of every class in all templates, and the images' own captions.

        A part is None where the text tower, the vocabulary or the sentences for it are missing.
        """
        if self.towers is not None and (found := self.towers(self.data)) is not None:
            self.note("each class is read in captions of scenes, with the class in its place")
            return found
        none = Embedded(None, None, None)
        if self.loaded is None or self.loaded.heads.get("text", (None,))[0] is None:
            return none
        if (splits := self.splits("cls")) is None or not len(splits[1].features):
            return none
        test = splits[1]
        images = self.loaded.joint(test.features)
        if self.vocabulary is None:
            self.say(
                "names of classes and captions are read by --vocabulary, CLIP's bpe_simple_vocab_16e6.txt.gz"
            )
            return Embedded(images, None, None)
        length = getattr(self.loaded.heads["text"][0], "length", 77)
        tokenizer = bpe_tokenizer(read_merges(self.vocabulary), length=length)

        def read(sentences: Sequence[str]) -> jax.Array:
            assert self.loaded is not None
            parts = [sentences[at : at + self.batch] for at in range(0, len(sentences), self.batch)]
            return jnp.concatenate([self.loaded.text(tokenizer.encode(part)) for part in parts])

        self.note(f"each class is read in: {' | '.join(self.templates)}")
        names = [name.replace("_", " ") for name in test.class_names]
        prompts = [read([t.format(name) for t in self.templates]) for name in names]
        own = self._captions(test)
        return Embedded(images, jnp.stack(prompts) if prompts else None, None if own is None else read(own))

    def _captions(self, test: Columns) -> list[str] | None:
        """The caption of each test image."""
        said = captions(self.data)
        if said is None or test.names is None:
            return None
        if missing := next((name for name in test.names if name not in said), None):
            self.note(f"there is no caption of {missing}, so that captions are left out")
            return None
        return [said[name] for name in test.names]

    def given(self, name: str) -> Any:
        """Returns what a protocol needs, by its name; None where this subject does not have it."""
        return GIVEN[name](self) if name in GIVEN else None


def _column(tokens: str, split: int, what: str) -> Callable[[Subject], Any]:
    def given(subject: Subject):
        splits = subject.splits(tokens)
        if splits is None or (what == "labels" and (splits[split].labels < 0).all()):
            return None
        return getattr(splits[split], what)

    return given


def _classes(subject: Subject) -> int | None:
    splits = subject.splits("cls")
    return splits and len(splits[0].class_names)


def _sets(subject: Subject) -> Mapping[str, Mapping[str, Any]] | None:
    if subject.loaded is None or not subject.sets:
        return None
    needs = ("train_features", "train_labels", "test_features", "test_labels", "classes")
    found = {}
    for data in subject.sets:
        one = subject.on(data)
        found[data] = {name: one.given(name) for name in needs}
        subject.notes += [
            note for note in (f"{data}: {said}" for said in one.notes) if note not in subject.notes
        ]
    return found


GIVEN: dict[str, Callable[[Subject], Any]] = {
    "train_features": _column("cls", 0, "features"),
    "train_labels": _column("cls", 0, "labels"),
    "test_features": _column("cls", 1, "features"),
    "test_labels": _column("cls", 1, "labels"),
    "train_layers": _column("layers", 0, "features"),
    "test_layers": _column("layers", 1, "features"),
    "classes": _classes,
    "train_images": lambda subject: subject.loaded and subject.images(0),
    "test_images": lambda subject: subject.loaded and subject.images(1),
    "encode": lambda subject: subject.loaded and subject.encode,
    "train_views": lambda subject: subject.loaded and subject.views,
    "fine_tune": lambda subject: subject.fine_tune,
    "sets": _sets,
    **dense.GIVEN,
    "test_embeddings": lambda subject: subject.embedded.images,
    "prompts": lambda subject: subject.embedded.prompts,
    "caption_embeddings": lambda subject: subject.embedded.captions,
}
"""The function that computes each of the things that protocols need, by its name."""
