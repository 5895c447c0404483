"""Images of several sources in a row."""

import cv2
import numpy as np

from sparse_rcnn_ext.prediction.frames import count_frames, read_frames
from tests.prediction.pictures import BlobDetector, blob_image, source, write_video

FRAMES = [blob_image([(8 * step, 16, 8 * step + 24, 40)], 64, 96) for step in range(5)]


def test_the_rest_goes_on(tmp_path):
    cv2.imwrite(str(tmp_path / 'a.png'), FRAMES[3])
    (tmp_path / 'broken.png').write_text('no image')
    (tmp_path / 'broken.mp4').write_text('no video')
    write_video(tmp_path / 'clip.mp4', FRAMES, 10)
    sources = [source(tmp_path / name) for name in ('broken.png', 'a.png', 'broken.mp4', 'clip.mp4', 'gone.png')]
    problems = []
    frames = list(read_frames(BlobDetector(), sources, lambda problem, _: problems.append(problem)))
    assert [(frame.source.name.name, frame.number) for frame in frames] == [
        ('a.png', None), *(('clip.mp4', number) for number in range(5))
    ]  # fmt: skip
    np.testing.assert_array_equal(frames[0].image, FRAMES[3])
    assert frames[0].fps is None and frames[1].fps == 10
    assert [problem.partition(': ')[0] for problem in problems] == [str(sources[i].path) for i in (0, 2, 4)]
    assert count_frames(sources) == 1 + 1 + 0 + 5 + 1


def test_a_video_that_ends_early(tmp_path):
    """Of an AVI, whose index says how many frames there should be."""
    rng = np.random.default_rng(0)
    write_video(tmp_path / 'a.avi', [rng.integers(0, 256, (64, 96, 3), dtype=np.uint8) for _ in range(30)], 10, 'MJPG')
    content = bytearray((tmp_path / 'a.avi').read_bytes())
    middle = len(content) // 2
    content[middle:] = bytes(len(content) - middle)
    (tmp_path / 'a.avi').write_bytes(content)
    problems = []
    frames = list(
        read_frames(BlobDetector(), [source(tmp_path / 'a.avi')], lambda problem, _: problems.append(problem))
    )
    assert 5 < len(frames) < 30
    assert problems == [f'{tmp_path / "a.avi"}: only {len(frames)} of 30 frames can be read']


def test_nobody_knows_how_long_a_camera_runs(monkeypatch):
    class Camera:
        count = None

        def __init__(self, number: int) -> None: ...

        def close(self) -> None: ...

    monkeypatch.setattr('sparse_rcnn_ext.prediction.frames.VideoReader', Camera)
    assert count_frames([source(0)]) is None
