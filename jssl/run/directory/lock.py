"""One run directory has one writer: a second process is refused with a line that names the first. Processes
that need the same file made wait for each other.
"""

import contextlib
import json
import os
import socket
from collections.abc import Callable, Iterator

import jax

from jssl.weights.directory import as_path

LOCK = ".writer"


class Occupied(ValueError):
    """Another process writes to the directory."""


@contextlib.contextmanager
def writer_of(directory) -> Iterator[None]:
    """Makes this process the only writer of a run directory, for as long as the context lasts.

    The operating system holds the lock and drops it however the process ends, so that the file that a killed
    process leaves behind keeps nobody out. Of several processes of one run, the first holds it. Buckets have
    no locks.

    Args:
        directory: Of the run; made where it is missing.
    Raises:
        Occupied: naming the process and the machine that write there.
    """
    if jax.process_index() > 0 or "://" in str(directory):
        yield
        return
    import fcntl

    path = as_path(directory)
    path.mkdir(parents=True, exist_ok=True)
    with open(path / LOCK, "a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Occupied(
                f"--out {directory} is being written by {_named(file)}; wait for it, or give another "
                "directory"
            ) from None
        file.truncate(0)
        file.write(json.dumps({"process": os.getpid(), "host": socket.gethostname()}))
        file.flush()
        yield
        file.truncate(0)


@contextlib.contextmanager
def in_turn(path, say: Callable[[str], None]) -> Iterator[None]:
    """Lets one process at a time work on a file, for as long as the context lasts.

    A file system without locks lets all of them in.

    Args:
        path: Of the file; the lock lies beside it.
        say: Called with a line where another process has to be waited for.
    """
    import fcntl

    lock = path.with_name(f"{path.name}.lock")
    with open(lock, "a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for another process, which makes {path}")
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError:
            pass
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)  # a process that waits looks for the file next


def _named(file) -> str:
    file.seek(0)
    try:
        holder = json.loads(file.read())
        return f"process {holder['process']} on {holder['host']}"
    except (json.JSONDecodeError, KeyError, TypeError):
        return "another process"
