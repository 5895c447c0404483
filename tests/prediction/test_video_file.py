"""Short videos, written by OpenCV and by ours."""

import cv2
import numpy as np
import pytest

from sparse_rcnn_ext.errors import UserError
from sparse_rcnn_ext.prediction.frames import DEFAULT_FPS, VideoReader, VideoWriter
from sparse_rcnn_ext.prediction.image_file import UnreadableError
from tests.prediction.pictures import blob_image, write_video

FRAMES = [blob_image([(8 * step, 16, 8 * step + 24, 40)], 64, 96) for step in range(6)]


@pytest.mark.parametrize(('name', 'codec'), [('a.mp4', 'mp4v'), ('a.avi', 'MJPG')])
def test_all_frames_in_order(tmp_path, name, codec):
    write_video(tmp_path / name, FRAMES, 12.5, codec)
    reader = VideoReader(tmp_path / name)
    assert reader.fps == pytest.approx(12.5) and reader.count == 6
    frames = list(reader)
    assert len(frames) == 6
    for frame, expected in zip(frames, FRAMES):
        assert frame.shape == expected.shape and frame.dtype == np.uint8
        assert np.abs(frame.astype(int) - expected).mean() < 8


def test_what_is_no_video(tmp_path):
    (tmp_path / 'a.mp4').write_text('no video')
    for path in (tmp_path / 'a.mp4', tmp_path / 'gone.mp4'):
        with pytest.raises(UnreadableError, match='no video'):
            VideoReader(path)
    with pytest.raises(UnreadableError, match='no such camera'):
        VideoReader(97)


def test_a_camera_tells_neither_length_nor_rate(tmp_path, monkeypatch):
    class Camera:
        """The interface of cv2.VideoCapture, for device 0."""

        def __init__(self, device: int) -> None:
            assert device == 0
            self.frames = iter(FRAMES)
            self.is_open = True

        def isOpened(self) -> bool:  # noqa: N802
            return self.is_open

        def get(self, prop: int) -> float:
            return {cv2.CAP_PROP_FPS: 0.0, cv2.CAP_PROP_FRAME_COUNT: -1.0}[prop]

        def read(self) -> tuple[bool, np.ndarray | None]:
            frame = next(self.frames, None)
            return frame is not None, frame

        def release(self) -> None:
            self.is_open = False

    monkeypatch.setattr(cv2, 'VideoCapture', Camera)
    reader = VideoReader(0)
    assert (reader.fps, reader.count) == (DEFAULT_FPS, None)
    assert len(list(reader)) == 6
    assert not reader._capture.is_open, 'the camera is let go'


def test_what_is_written_can_be_read(tmp_path):
    writer = VideoWriter(tmp_path / 'b.mp4', 7.5, (96, 64))
    for frame in FRAMES:
        writer.write(frame)
    writer.write(cv2.resize(FRAMES[0], (48, 32)))
    writer.close()
    capture = cv2.VideoCapture(str(tmp_path / 'b.mp4'))
    assert capture.get(cv2.CAP_PROP_FPS) == pytest.approx(7.5)
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == 7, 'a frame of another size is not lost'
    for expected in FRAMES:
        _, frame = capture.read()
        assert np.abs(frame.astype(int) - expected).mean() < 8


def test_a_video_that_cannot_be_written(tmp_path):
    with pytest.raises(UserError, match='cannot write the video'):
        VideoWriter(tmp_path / 'gone/b.mp4', 25, (96, 64))
