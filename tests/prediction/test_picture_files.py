"""Pictures and videos in a folder."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from sparse_rcnn_ext.errors import UserError
from sparse_rcnn_ext.prediction import PictureFiles
from sparse_rcnn_ext.prediction.frames import Frame
from sparse_rcnn_ext.visualization.palette import color_of
from tests.prediction.pictures import blob_image, detections, in_memory, source

IMAGE = blob_image([(200, 200, 500, 400)], 480, 640)
FOUND = detections((200, 200, 500, 400, 0.9, 0))


def is_drawn(picture: np.ndarray) -> bool:
    """Whether the label above the box has the class's colour, as far as a codec keeps it."""
    return np.abs(picture[184:187, 202:206, ::-1].astype(int).mean(axis=(0, 1)) - color_of(0)).max() < 30


def test_names_and_formats_are_kept(tmp_path):
    sources = [source('a.jpg'), source('deep/b.PNG', 'deep/b.PNG'), source('c.tif'), source('d.webp')]
    files = PictureFiles(tmp_path / 'out', sources, ['x'])
    for item in sources:
        files.add(Frame(in_memory(IMAGE), item), FOUND)
    files.close()
    written = sorted(path.relative_to(tmp_path / 'out').as_posix() for path in (tmp_path / 'out').rglob('*.*'))
    assert written == ['a.jpg', 'c.tif.png', 'd.webp.png', 'deep/b.PNG']
    for name in written:
        picture = cv2.imread(str(tmp_path / 'out' / name))
        assert picture.shape == IMAGE.shape and is_drawn(picture)


def test_each_video_becomes_one_file_with_its_rate(tmp_path):
    sources = [source('a.mp4'), source('b.avi'), source('c.png'), source(0, 'webcam-0')]
    files = PictureFiles(tmp_path, sources, ['x'])
    for item, fps, count in ((sources[0], 12.5, 4), (sources[1], 30.0, 3), (sources[3], 25.0, 2)):
        for number in range(count):
            files.add(Frame(in_memory(IMAGE), item, number, fps), FOUND)
        if item == sources[1]:
            files.add(Frame(in_memory(IMAGE), sources[2]), FOUND)
    files.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ['a.mp4', 'b.avi.mp4', 'c.png', 'webcam-0.mp4']
    for name, fps, count in (('a.mp4', 12.5, 4), ('b.avi.mp4', 30, 3), ('webcam-0.mp4', 25, 2)):
        capture = cv2.VideoCapture(str(tmp_path / name))
        assert capture.get(cv2.CAP_PROP_FPS) == pytest.approx(fps)
        frames = []
        while (read := capture.read())[0]:
            frames.append(read[1])
        assert len(frames) == count and all(map(is_drawn, frames))


def test_inputs_are_never_overwritten(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path('photos').mkdir()
    cv2.imwrite('photos/a.jpg', IMAGE)
    for folder in (Path('photos'), tmp_path / 'photos/../photos'):
        with pytest.raises(UserError, match='would overwrite'):
            PictureFiles(folder, [source(Path('photos/a.jpg'))], ['x'])
    Path('link').symlink_to('photos')
    with pytest.raises(UserError, match='would overwrite'):
        PictureFiles(Path('link'), [source(Path('photos/a.jpg'))], ['x'])


def test_places_that_cannot_be_written(tmp_path):
    (tmp_path / 'file').touch()
    with pytest.raises(UserError, match='cannot make the folder'):
        PictureFiles(tmp_path / 'file', [], ['x'])
    files = PictureFiles(tmp_path / 'out', [source('a.png')], ['x'])
    (tmp_path / 'out/a.png').mkdir()
    with pytest.raises(UserError, match='cannot write the picture'):
        files.add(Frame(in_memory(IMAGE), source('a.png')), FOUND)
