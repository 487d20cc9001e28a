"""Reads and writes the results of evaluations: evaluation.json, and the same as Markdown and HTML."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from jssl.evaluate import write_report
from jssl.evaluate.protocols.base import heading, shown
from jssl.evaluate.table import LEARNED, RANDOM, RAW
from jssl.run.directory.record import check_can_be_made
from jssl.weights.directory import as_path

FILE = "evaluation.json"


def sees(size: int, crop: int, squash: bool) -> str:
    """Says in words how an image is resized, and how much of it is kept, before a network sees it."""
    return f"{'both sides' if squash else 'short side'} {size}, central {crop} pixels"


def jsonable(value: Any) -> Any:
    """Converts a setting to what JSON holds: a tuple to a list, and what JSON does not know to its `repr`."""
    if isinstance(value, tuple | list):
        return [jsonable(one) for one in value]
    return value if value is None or isinstance(value, bool | int | float | str) else repr(value)


def in_words(value: Any) -> str:
    """Writes a setting for a reader; of a long list, the first values, the last and the length."""
    if isinstance(value, tuple | list):
        shown = [in_words(one) for one in value]
        return " ".join(
            shown if len(shown) <= 16 else [*shown[:3], "...", f"{shown[-1]} ({len(shown)} values)"]
        )
    return f"{value:g}" if isinstance(value, float) else str(value)


def read_evaluations(directory: Any) -> list[dict[str, Any]]:
    """Reads the results of evaluations in a directory.

    Args:
        directory: Where evaluation.json is.
    Returns:
        Its entries; none where there is no such file.
    Raises:
        ValueError: where the file is not what `evaluate` writes.
    """
    path = as_path(directory) / FILE
    if not path.exists():
        return []
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))["evaluations"]
        whole = isinstance(entries, list) and all(map(_whole, entries))
    except (ValueError, KeyError, TypeError, RecursionError):
        whole = False
    if not whole:
        raise ValueError(f"{path} is not what jssl evaluate writes; move it elsewhere")
    return entries


def _whole(entry: Any) -> bool:
    """Whether an entry is as `evaluate` writes it."""
    words = ("protocol", "main", "row", "data", "network")
    if not isinstance(entry, dict) or not all(isinstance(entry.get(name), str) for name in words):
        return False
    figures, settings = entry.get("metrics"), entry.get("settings")
    if not (isinstance(figures, dict) and isinstance(settings, dict) and entry["main"] in figures):
        return False
    numbers = all(type(value) in (int, float) for value in figures.values())
    return numbers and all(isinstance(entry.get(name), list) for name in ("looked_at", "notes"))


def check_results(place) -> None:
    """Checks that results can be written to a directory, before anything is computed.

    Args:
        place: The directory.
    Raises:
        ValueError: saying what is in the way.
    """
    check_can_be_made(place, place)
    read_evaluations(place)


def merged(place, found: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Adds entries to a directory's; each replaces one of the same protocol, network, data and settings.

    Args:
        place: The directory.
        found: New entries.
    Returns:
        All entries.
    """

    def question(entry):
        asked = [entry[name] for name in ("protocol", "row", "data", "settings", "network")]
        return json.dumps(asked, sort_keys=True)

    return list({question(entry): entry for entry in (*read_evaluations(place), *found)}.values())


def write(place, name: str, entries: list[dict[str, Any]]) -> None:
    """Writes evaluation.json, evaluation.md and evaluation.html.

    Args:
        place: The directory, which is made.
        name: Of the network.
        entries: As `evaluate` returns them.
    """
    place.mkdir(parents=True, exist_ok=True)
    held = {"source": name, "evaluations": entries}
    whole = place / f".{FILE}.new"  # so that a crash leaves the old file or the new one
    whole.write_text(json.dumps(held, indent=1) + "\n", encoding="utf-8")
    whole.replace(place / FILE)
    (place / "evaluation.md").write_text(markdown(entries), encoding="utf-8", errors="backslashreplace")
    asked = questions(entries)
    table: dict[str, dict[str, float]] = {row: {} for row in (RAW, RANDOM, LEARNED)}
    for words, entry in zip(asked, entries, strict=True):
        table[entry["row"]][f"{words}{entry['main']}"] = entry["metrics"][entry["main"]]
    write_report(
        place / "evaluation.html",
        title=f"What {name} is worth",
        summary="Every protocol's main metric. All metrics and numbers are in evaluation.json.\n\n"
        + "\n\n".join(dict.fromkeys(note for entry in entries for note in entry["notes"])),
        table={row: scores for row, scores in table.items() if scores},
        figures=[],
        config={
            f"{words}{entry['protocol']} of {entry['row']}": {
                "network": entry["network"],
                "data": entry["data"],
                "looked at": ", ".join(entry["looked_at"]),
                **entry["settings"],
                **{heading(name): shown(name, value) for name, value in entry["metrics"].items()},
            }
            for words, entry in zip(asked, entries, strict=True)
        },
    )


def questions(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    """Says how each evaluation differs from others of its protocol: by data, settings, or the network.

    Args:
        entries: As `evaluate` returns them.
    Returns:
        Words to put before a metric; "" where only the row differs.
    Examples:
        >>> one = dict(protocol="knn", row="learned", data="digits", network="ViT", settings={"k": 20})
        >>> questions([one, one | {"data": "scenes"}, one | {"settings": {"k": 5}}])
        ['digits, k 20: ', 'scenes, k 20: ', 'digits, k 5: ']
    """

    def words_of(entry):
        rivals = [other for other in entries if other["protocol"] == entry["protocol"]]
        of_row = [other["network"] for other in rivals if other["row"] == entry["row"]]
        words = [entry["data"]] if any(other["data"] != entry["data"] for other in rivals) else []
        words += [entry["network"]] if any(other != entry["network"] for other in of_row) else []
        words += [
            f"{name} {in_words(value)}"
            for name, value in entry["settings"].items()
            if any(other["settings"].get(name) != value for other in rivals)
        ]
        return f"{', '.join(words)}: " if words else ""

    return [words_of(entry) for entry in entries]


def markdown(entries: Sequence[Mapping[str, Any]]) -> str:
    """Writes evaluations as a Markdown table: a line for every metric.

    Args:
        entries: As evaluation.json holds them.
    Returns:
        The table.
    """
    lines = ["| network | data | metric | value | settings |", "|---|---|---|---|---|"]
    for entry in entries:
        settings = ", ".join(f"{name} {in_words(value)}" for name, value in entry["settings"].items())
        for metric, value in entry["metrics"].items():
            row = (entry["row"], entry["data"], heading(metric), shown(metric, value), settings)
            lines.append(f"| {' | '.join(row)} |")
    return "\n".join(lines) + "\n"
