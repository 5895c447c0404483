"""The loop: batches, filters, memory, and what happens when something goes wrong."""

import gc
import signal
import weakref

import cv2
import numpy as np
import pytest

from sparse_rcnn_ext.prediction import predict_all
from sparse_rcnn_ext.prediction.frames import Frame
from tests.prediction.pictures import BlobDetector, blob_image, detections, in_memory, source, write_video


class Collect:
    """A sink that keeps the detections."""

    def __init__(self) -> None:
        self.found = []
        self.closed = 0

    def add(self, frame, detections) -> None:
        self.found.append((frame.source.name.name, frame.number, detections.bboxes.tolist()))

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def sources(tmp_path) -> list:
    """Three images with 1, 2 and 3 blobs, a broken one, and a video of four frames."""
    for count in (1, 2, 3):
        image = blob_image([(20 * step + 5, 10, 20 * step + 15, 30) for step in range(count)], 48, 80)
        cv2.imwrite(str(tmp_path / f'{count}.png'), image)
    (tmp_path / '0.png').touch()
    write_video(tmp_path / 'v.mp4', [blob_image([(16, 16, 48, 48)], 64, 96)] * 4, 10)
    return [source(tmp_path / name) for name in ('1.png', '0.png', '2.png', '3.png', 'v.mp4')]


@pytest.mark.parametrize('batch_size', [1, 2, 3, 100])
def test_every_image_once_and_in_order(sources, batch_size, capsys):
    detector, sink = BlobDetector(), Collect()
    summary = predict_all(detector, sources, [sink], 0.3, batch_size=batch_size)
    assert [(name, number, len(boxes)) for name, number, boxes in sink.found] == [
        ('1.png', None, 1), ('2.png', None, 2), ('3.png', None, 3), *(('v.mp4', number, 1) for number in range(4))
    ]  # fmt: skip
    assert sink.found[0][2] == [[5, 10, 15, 30]]
    assert max(detector.batches) == min(batch_size, 7) and sum(detector.batches) == 7
    assert summary == (7, 10, 1, 0, False) and sink.closed == 1
    printed = capsys.readouterr().err
    assert f'skipped {sources[1].path}: the file is empty' in printed
    assert 'predict:' in printed and '/8 ' in printed, 'a bar with the number of images'


def test_scores_and_classes(sources):
    class Three(BlobDetector):
        def _find(self, image):
            return detections((1, 1, 9, 9, 0.9, 1), (2, 2, 9, 9, 0.5, 0), (3, 3, 9, 9, 0.2, 1))

    def lefts(*arguments) -> list[float]:
        sink = Collect()
        predict_all(Three(), sources[:1], [sink], *arguments)
        return [box[0] for box in sink.found[0][2]]

    assert lefts(0.0) == [1, 2, 3]
    assert lefts(0.5) == [1, 2], 'at least, not more than'
    assert lefts(0.0, [1]) == [1, 3]
    assert lefts(0.6, [0]) == []


def test_no_more_than_a_batch_is_in_memory(sources, monkeypatch):
    alive = weakref.WeakSet()
    most = 0

    class Image(np.ndarray):
        """Of a type that can be counted."""

    def endless(*_):
        for number in range(60):
            image = np.zeros((8, 8, 3), np.uint8).view(Image)
            alive.add(image)
            yield Frame(in_memory(image), sources[0], number, 1.0)

    class Watching(BlobDetector):
        def predict(self, images):
            nonlocal most
            gc.collect()
            most = max(most, len(alive))
            return super().predict(images)

    monkeypatch.setattr(Image, '__hash__', object.__hash__, raising=False)
    monkeypatch.setattr(Image, '__eq__', object.__eq__, raising=False)
    monkeypatch.setattr('sparse_rcnn_ext.prediction.run.read_frames', endless)
    gc.freeze()  # what other modules hold would be searched in each batch
    try:
        summary = predict_all(Watching(), sources[:1], [], 0.3, batch_size=4)
    finally:
        gc.unfreeze()
    assert summary.images == 60
    assert 4 <= most <= 9, 'the batch, and at most what is left of the one before it'


def test_ctrl_c_ends_in_good_order(sources):
    class Stopping(Collect):
        def add(self, frame, detections) -> None:
            if len(self.found) == 2:
                raise KeyboardInterrupt
            super().add(frame, detections)

    sink = Stopping()
    assert predict_all(BlobDetector(), sources, [sink], 0.3) == (2, 3, 1, 0, True)
    assert sink.closed == 1


@pytest.mark.parametrize(('presses', 'images'), [(1, 3), (2, 1)])
def test_ctrl_c_breaks_nothing_off(sources, presses, images):
    """What is being written, and the batch of it, is finished first; pressed again, it interrupts at once."""

    class Pressing(Collect):
        def add(self, frame, detections) -> None:
            if len(self.found) == 1:
                for _ in range(presses):
                    signal.raise_signal(signal.SIGINT)
            super().add(frame, detections)

    sink = Pressing()
    summary = predict_all(BlobDetector(), sources, [sink, other := Collect()], 0.3, batch_size=3)
    assert (summary.images, summary.was_stopped) == (images, True)
    assert len(sink.found) == len(other.found) == images and sink.closed == other.closed == 1
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_boxes_of_a_model_that_diverged(sources):
    class Diverged(BlobDetector):
        def _find(self, image):
            return detections((1, 1, 9, 9, 0.9, 1), (float('nan'), 2, 9, 9, 0.8, 0), (3, 3, float('inf'), 9, 0.7, 1))

    sink = Collect()
    predict_all(Diverged(), sources[:1], [sink], 0.0)
    assert sink.found[0][2] == [[1, 1, 9, 9]]


def test_files_are_finished_when_something_breaks(sources):
    class Breaking(BlobDetector):
        def predict(self, images):
            raise RuntimeError('out of memory')

    sink = Collect()
    with pytest.raises(RuntimeError, match='out of memory'):
        predict_all(Breaking(), sources, [sink], 0.3)
    assert sink.closed == 1


def test_a_strip_that_resizing_would_squash_is_skipped(tmp_path, sources, capsys):
    cv2.imwrite(str(tmp_path / 'strip.png'), np.zeros((3, 2000, 3), np.uint8))
    summary = predict_all(BlobDetector(), [source(tmp_path / 'strip.png'), sources[0]], [], 0.3, batch_size=2)
    assert (summary.images, summary.problems) == (1, 1)
    assert '2000×3 pixels are too narrow a strip' in capsys.readouterr().err


def test_boxes_are_inside_the_image(sources):
    class Reaching(BlobDetector):
        def _find(self, image):
            rows = [(-5, 10, 20, 99, 0.9, 1), (-9, 2, -1, 9, 0.8, 0), (70, 9, 60, 19, 0.7, 0), (79, -3, 85, 4, 0.6, 1)]
            return detections(*rows)

    sink = Collect()
    summary = predict_all(Reaching(), sources[:1], [sink], 0.0)  # 80 × 48 pixels
    assert sink.found[0][2] == [[0, 10, 20, 48], [79, 0, 80, 4]] and summary.detections == 2
