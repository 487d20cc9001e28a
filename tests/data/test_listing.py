"""Folders and list files: what is listed, what is passed over, and what no listing may do."""

import logging
import os
import subprocess

import numpy as np
import pytest
from PIL import Image

from jssl import data
from jssl.data.reading.decode import BYTE_LIMIT, DamagedImage
from jssl.data.sources.folder import printable


def picture(path, shade=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((4, 4, 3), shade, np.uint8)).save(path, "PNG")


def test_hidden_entries_are_passed_over_at_every_depth_and_counted(tmp_path, caplog):
    for name in (
        "cat/1.png",
        "cat/._1.png",
        "cat/.cache/2.png",
        "dog/deep/3.jfif",
        ".git/4.png",
        "dog/notes.txt",
    ):
        picture(tmp_path / name)
    with caplog.at_level(logging.WARNING):
        files = data.folder(str(tmp_path))
    assert files.paths == ["cat/1.png", "dog/deep/3.jfif"] and files.class_names == ("cat", "dog")
    (line,) = caplog.messages
    assert "3 hidden entries" in line and "1 files that are not of a known image format" in line


@pytest.mark.parametrize("suffix", ["jfif", "jpe", "jp2", "avif", "JPG", "Tiff", "dib", "pnm"])
def test_every_extension_that_is_read_is_listed(tmp_path, suffix):
    picture(tmp_path / f"a.{suffix}")
    assert len(data.folder(str(tmp_path))) == 1


def test_linked_folders_are_followed_once_and_loops_end(tmp_path):
    picture(tmp_path / "set" / "cat" / "1.png")
    picture(tmp_path / "elsewhere" / "2.png")
    (tmp_path / "set" / "dog").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "set" / "dog2").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "set" / "cat" / "up").symlink_to(tmp_path / "set")
    (tmp_path / "set" / "self").symlink_to(tmp_path / "set" / "self")
    files = data.folder(str(tmp_path / "set"))
    assert files.paths == ["cat/1.png", "dog/2.png"] and files.class_names == ("cat", "dog")


def test_thousands_of_levels_do_no_harm(tmp_path):
    here, start = os.getcwd(), tmp_path / "set"
    picture(start / "cat" / "1.png")
    try:
        os.chdir(start / "cat")
        for _ in range(1500):
            os.mkdir("down")
            os.chdir("down")
        os.chdir(here)
        assert data.folder(str(start)).paths == ["cat/1.png"]
    finally:
        os.chdir(here)
        subprocess.run(["rm", "-rf", str(start)], check=True)  # Python's own removal is recursive


def test_what_is_no_ordinary_file_is_not_read(tmp_path):
    picture(tmp_path / "1.png")
    os.mkfifo(tmp_path / "2.png")
    (tmp_path / "3.png").symlink_to("/dev/zero")
    with open(tmp_path / "4.png", "wb") as sparse:
        sparse.truncate(BYTE_LIMIT + 1)
    files = data.folder(str(tmp_path))
    assert files.paths == ["1.png", "4.png"]
    with pytest.raises(DamagedImage, match="more than the limit"):
        files[1]
    (tmp_path / "list.txt").write_text("2.png\n3.png\n")
    listed = data.folder(str(tmp_path / "list.txt"))
    for number in range(2):
        with pytest.raises(DamagedImage, match="not an ordinary file"):
            listed[number]


@pytest.mark.parametrize(
    ("content", "labels"),
    [
        (b"a b.png\tcat\nc.png\tdog\n", [0, 1]),
        (b"a b.png\tcat\r\nc.png\tdog\r\n", [0, 1]),
        (b"\xef\xbb\xbfa b.png\tcat\nc.png\tdog", [0, 1]),
        (b"a b.png\tcat  \nc.png \tdog\n\n", [0, 1]),
        (b"\xef\xbb\xbfa b.png \r\nc.png\r\n", [-1, -1]),
        ("a b.png\tcat\r\nc.png\tdog\r\n".encode("utf-16"), [0, 1]),
        (b"\xfe\xff" + "a b.png\tcat\nc.png\tdog\n".encode("utf-16-be"), [0, 1]),
        (b"a b.png\tcat\rc.png\tdog\r", [0, 1]),
    ],
)
def test_list_files_of_every_editor(tmp_path, content, labels):
    (tmp_path / "list.txt").write_bytes(content)
    files = data.folder(str(tmp_path / "list.txt"))
    assert files.paths == ["a b.png", "c.png"] and files.labels.tolist() == labels


def test_an_image_that_is_listed_twice_is_one_image(tmp_path, caplog):
    (tmp_path / "list.txt").write_bytes(b"a.png\tcat\nb.png\tdog\na.png\tcat\nc\0.png\tdog\na.png\tdog\n")
    files = data.folder(str(tmp_path / "list.txt"))
    assert files.paths == ["a.png", "b.png"] and files.labels.tolist() == [0, 1]
    (line,) = caplog.messages
    assert "passed over 1 lines that hold a zero byte, 2 lines of an image that was named before" in line


def test_an_image_that_is_written_in_two_ways_is_one_image(tmp_path):
    here = tmp_path / "a.png"
    (tmp_path / "list.txt").write_text(
        f"a.png\tcat\n./a.png\tcat\nb/../a.png\tcat\n{here}\tcat\nb.png\tdog\n"
    )
    assert data.folder(str(tmp_path / "list.txt")).paths == ["a.png", "b.png"]


def test_names_that_no_line_can_hold(tmp_path):
    name = b"caf\xe9\n.png"
    path = os.path.join(os.fsencode(tmp_path), name)
    picture(tmp_path / "plain.png", 9)
    os.rename(tmp_path / "plain.png", path)
    files = data.folder(str(tmp_path))
    assert len(files) == 1 and files[0]["image"][:4] == b"\x89PNG"
    assert files.describe(0).endswith(r"caf\udce9\n.png") and files.describe(0).isprintable()
    assert printable("Käfer $x$") == "Käfer $x$"
