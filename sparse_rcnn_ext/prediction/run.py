"""From sources to files, a batch at a time; Ctrl-C is a wish, not an accident."""

import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from threading import Event, current_thread, main_thread
from typing import NamedTuple, Protocol

import torch
from mmengine.structures import InstanceData
from tqdm import tqdm

from sparse_rcnn_ext.models.post_process import inside_image

from .frames import Frame, Reader, count_frames, read_frames
from .pipeline import LoadedImage
from .sources import Source


class Detector(Reader, Protocol):
    """Loads images and finds objects in them; see :class:`Predictor`."""

    classes: tuple[str, ...]

    def predict(self, images: Sequence[LoadedImage]) -> list[InstanceData]: ...


class Sink(Protocol):
    """Takes the detections of one image after the other."""

    def add(self, frame: Frame, detections: InstanceData) -> None: ...

    def close(self) -> None: ...


class Summary(NamedTuple):
    """What a run came to."""

    images: int
    """Image files, and frames of videos."""
    detections: int
    problems: int
    """Inputs that could not be read, or not all of them."""
    too_large: int
    """How many of these a limit kept out that can be raised."""
    was_stopped: bool
    """By Ctrl-C."""


def predict_all(
    detector: Detector,
    sources: Sequence[Source],
    sinks: Sequence[Sink],
    score_thr: float,
    labels: Sequence[int] | None = None,
    batch_size: int = 1,
) -> Summary:
    """Read, detect, write, with a progress bar; never more than a batch of images is in memory.

    What cannot be read is reported on stderr, and the rest goes on. Ctrl-C ends a run in good order, after the batch.
    Boxes are clipped to their image. Those without area then are dropped, as are those that are infinite or NaN, as a
    model that diverged gives them.

    Args:
        detector: Finds the objects.
        sources: Images, videos, webcams.
        sinks: Get every image that could be read; all are closed at the end, whatever happens.
        score_thr: Detections of a lower score are dropped.
        labels: Those of other classes are dropped; None keeps all.
        batch_size: Images at a time.
    """
    images = detections = problems = too_large = 0
    was_stopped = False
    kept_labels = None if labels is None else torch.tensor(list(labels))
    bar = tqdm(total=count_frames(sources), unit='img', desc='predict', mininterval=0.5)
    with bar as progress, note_ctrl_c() as wish:

        def report(problem: str, is_too_large: bool = False) -> None:
            nonlocal problems, too_large
            problems += 1
            too_large += is_too_large
            progress.write(f'skipped {problem}', file=sys.stderr)

        try:
            for frames in _batches(read_frames(detector, sources, report), batch_size):
                for frame, found in _detect(detector, frames, report):
                    kept = (found.scores >= score_thr) & found.bboxes.isfinite().all(dim=1)
                    if kept_labels is not None:
                        kept &= torch.isin(found.labels, kept_labels)
                    found = inside_image(found[kept], *frame.image.shape[:2])
                    for sink in sinks:
                        sink.add(frame, found)
                    images += 1
                    detections += len(found)
                progress.update(len(frames))
                if wish.is_set():
                    was_stopped = True
                    break
            else:
                # What was skipped is done, too.
                progress.total = progress.n
        except KeyboardInterrupt:
            was_stopped = True
        finally:
            for sink in sinks:
                sink.close()
    return Summary(images, detections, problems, too_large, was_stopped)


def _detect(
    detector: Detector, frames: Sequence[Frame], report: Callable[[str], None]
) -> Iterator[tuple[Frame, InstanceData]]:
    """The detections of a batch, without images that the pipeline cannot take."""
    fitting = []
    for frame in frames:
        height, width = frame.image.shape[:2]
        if max(height, width) > 100 * min(height, width):
            # Resizing to a thousand pixels leaves less than ten, or none, of such a strip.
            report(f'{frame.source}: {width}×{height} pixels are too narrow a strip')
        else:
            fitting.append(frame)
    if fitting:
        yield from zip(fitting, detector.predict([frame.loaded for frame in fitting]))


def _batches(frames: Iterable[Frame], size: int) -> Iterator[list[Frame]]:
    frames = iter(frames)
    while batch := list(islice(frames, size)):
        yield batch


@contextmanager
def note_ctrl_c() -> Iterator[Event]:
    """An event that the first Ctrl-C sets, so that nothing is broken off while it is written; the second interrupts.

    Where Python's own handler is not in place, or in another thread than the main one, everything stays as it is.
    """
    wish = Event()
    if current_thread() is not main_thread() or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield wish
        return

    def note(*_) -> None:
        wish.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    signal.signal(signal.SIGINT, note)
    try:
        yield wish
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
