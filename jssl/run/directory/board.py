"""Writes a run's TensorBoard events at once; after a failure it stops writing, and the run goes on."""

import time
import warnings
from collections.abc import Mapping

from jssl.extras import extra
from jssl.run.directory.trackers import grouped


class Board:
    """Writes figures for TensorBoard into a run's directory.

    A write that fails costs a warning and switches it off; metrics.jsonl has the same figures. tensorboardX's
    own `SummaryWriter` writes in a thread: when that dies, its queue fills up and training waits for ever.

    Args:
        directory: Of the run, a local path.
        after: The step that training goes on from; figures of later steps in earlier files are hidden.
    """

    def __init__(self, directory, *, after: int):
        with extra():
            from tensorboardX.event_file_writer import EventsWriter
            from tensorboardX.proto.event_pb2 import Event, SessionLog
            from tensorboardX.proto.summary_pb2 import Summary
            from tensorboardX.summary import scalar

        self._event, self._scalar, self._summary, self._file = Event, scalar, Summary, None
        fraction = f".{time.time_ns() % 10**9:09d}"  # names have seconds only, and are read in their order
        try:
            self._file = EventsWriter(f"{directory}/events", fraction)
            start = SessionLog(status=SessionLog.START)
            self._file.write_event(Event(step=after + 1, session_log=start))
            self._file.flush()
        except Exception as error:
            self._give_up(error)

    def write(self, step: int, figures: Mapping[str, float]) -> None:
        """Writes the figures of one step."""
        self._write(step, [self._scalar(grouped(name), value) for name, value in figures.items()])

    def image(self, step: int, name: str, png: bytes) -> None:
        """Writes a picture."""
        width, height = (int.from_bytes(png[at : at + 4], "big") for at in (16, 20))  # from its header
        shown = self._summary.Image(height=height, width=width, colorspace=3, encoded_image_string=png)
        value = self._summary.Value(tag=f"figures/{name}", image=shown)
        self._write(step, [self._summary(value=[value])])

    def _write(self, step: int, summaries: list) -> None:
        if self._file is None:
            return
        try:
            for summary in summaries:
                self._file.write_event(self._event(step=step, wall_time=time.time(), summary=summary))
            self._file.flush()
        except Exception as error:  # buckets and file systems raise their own kinds
            self._give_up(error)

    def close(self) -> None:
        """Closes the file."""
        if self._file is None:
            return
        try:
            self._file.close()
        except Exception as error:
            self._give_up(error)
        self._file = None

    def _give_up(self, error: Exception) -> None:
        self._file = None
        reason = " ".join(str(error).split())[:200]
        warnings.warn(f"TensorBoard's events are written no more: {reason}", stacklevel=5)
