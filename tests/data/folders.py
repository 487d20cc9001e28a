"""Folders laid out for films and searches, of a few tiny pictures."""

import json

from PIL import Image


def picture(path, value=0, size=(12, 8), mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, value if mode in ("L", "P") else (value, value, value)).save(path)
    return path


def a_film(root, name, frames):
    for number in range(frames):
        picture(root / "frames" / name / f"{number}.jpg", 10 * number)
        mask = Image.new("P", (12, 8))
        mask.putpixel((5, number), 2)
        (root / "objects" / name).mkdir(parents=True, exist_ok=True)
        mask.save(root / "objects" / name / f"{number}.png")


def a_search(root, answers):
    for part, count in (("queries", 2), ("gallery", 3)):
        for number in range(count):
            picture(root / part / f"{number}.jpg", 40 * number)
    (root / "answers.json").write_text(json.dumps(answers))
    return f"folder:{root}"
