"""Lists systems by the data that a user has: what `jssl train` prints without a name."""

from collections.abc import Mapping

from jssl.run.settings.systems import System, aligned, experiments

WITH = {  # data that a system needs -> a heading, and a command to begin with
    "images": (
        "a folder of images and an hour on one GPU, or a few hundred images and minutes on a CPU",
        "jssl train NAME --data photos --preset small",
    ),
    "labelled images": (
        "a folder with a folder of images for each class",
        "jssl train NAME --data photos --preset small --start facebook/dinov2-small",
    ),
    "images, a CLIP": (
        "a folder of images, and a CLIP whose features are predicted",
        "jssl train NAME --data photos --preset small --teacher openai/clip-vit-large-patch14 "
        "--encoder vit_s14",
    ),
    "images and captions": (
        "images and captions, in memory",
        'in Python: jssl.run("NAME", data=jssl.data.from_arrays(images, caption=token_ids))',
    ),
}
NOTHING = ("nothing but this computer", "jssl train NAME --demo")


def choices(registry: Mapping[str, System]) -> str:
    """Lists the systems by the data that they learn from, those whose demo learned most first.

    Args:
        registry: All systems.
    Returns:
        Lines for a terminal.
    """
    needs = dict.fromkeys(system.needs for system in registry.values())
    parts = ["usage: jssl train NAME [--demo] [OPTIONS]", "", f"You have {NOTHING[0]}:\n  {NOTHING[1]}"]
    for need in needs:
        have, line = WITH.get(need, (need, "jssl train NAME --data ..."))
        rows = sorted(
            ((name, system) for name, system in registry.items() if system.needs == need),
            key=lambda row: -max(row[1].linear or (0.0,)),
        )
        table = aligned([(f"    {name}", s.title, s.kind, f"demo: {s.reaches}") for name, s in rows])
        parts += ["", f"You have {have}:\n  {line}", table]
    parts += [
        "",
        "jssl train NAME --help     every setting of a system, with the published value as default",
        "jssl gallery VIEWS --data photos --out views.png     what a network is shown of your images",
        "jssl embed facebook/dinov2-small photos --out features.npz     features without any training",
    ]
    return "\n".join(parts)


def print_choices() -> None:
    """Prints `choices` of all systems."""
    print(choices(experiments().REGISTRY))
