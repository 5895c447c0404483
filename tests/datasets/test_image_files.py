"""Image files are read as in training, and what is wrong with one is found."""

import io

import cv2
import mmcv
import numpy as np
import pytest
from mmcv.transforms import LoadImageFromFile
from PIL import Image

from sparse_rcnn_ext.datasets.image_files import (
    DAMAGED,
    EMPTY,
    MISSING,
    NO_IMAGE,
    TOO_LARGE,
    ImageRequest,
    read_image,
    read_images,
)
from tests.datasets.check.small_data import HEIGHT, WIDTH, encode

SUFFIXES = ('.jpg', '.png', '.bmp', '.webp', '.tif')


@pytest.fixture
def request_for(tmp_path):
    """Write a file and say how to read it."""

    def make(content: bytes, name: str = 'a.jpg', color_type: str = 'color', decoder: str = 'cv2') -> ImageRequest:
        (tmp_path / name).write_bytes(content)
        return ImageRequest(str(tmp_path / name), color_type, decoder, ())

    return make


def exif_jpeg(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    Image.open(io.BytesIO(encode('.png', 1))).save(file, 'jpeg', exif=exif)
    return file.getvalue()


@pytest.mark.parametrize('suffix', SUFFIXES)
def test_a_good_file(request_for, suffix):
    content = encode(suffix, 1)
    file = read_image(request_for(content))
    assert (file.problem, file.width, file.height, file.num_bytes) == (None, WIDTH, HEIGHT, len(content))


@pytest.mark.parametrize('suffix', SUFFIXES)
@pytest.mark.parametrize('share', [0.3, 0.6, 0.9, 0.99])
def test_a_file_cut_off_anywhere(request_for, suffix, share):
    content = encode(suffix, 1)
    assert read_image(request_for(content[: int(share * len(content))])).problem in (DAMAGED, NO_IMAGE)


@pytest.mark.parametrize('suffix', SUFFIXES)
def test_what_is_called_damaged_cannot_be_trained_on(request_for, suffix):
    """The transform that loads the images of a run stops at it too."""
    request = request_for(encode(suffix, 1)[:-100], f'a{suffix}')
    # Where a WebP or TIFF is cut, Pillow does not know it for one any more.
    assert read_image(request).problem == (NO_IMAGE if suffix in ('.webp', '.tif') else DAMAGED)
    with pytest.raises(AssertionError, match='failed to load image'):
        LoadImageFromFile().transform(dict(img_path=request.path))


@pytest.mark.parametrize('tail', [b'\x00' * 7, b'\nmade by a camera'])
def test_bytes_behind_the_image_do_no_harm(request_for, tail):
    assert read_image(request_for(encode('.jpg', 1) + tail)).problem is None
    assert read_image(request_for(encode('.png', 1) + tail)).problem is None


def test_unreadable_files(request_for, tmp_path):
    assert read_image(request_for(b'')).problem == EMPTY
    assert read_image(request_for(b'<html>Not found</html>' * 99)).problem == NO_IMAGE
    assert read_image(request_for(encode('.jpg', 1)[:30])).problem in (DAMAGED, NO_IMAGE)
    assert read_image(ImageRequest(str(tmp_path / 'no.jpg'), 'color', 'cv2', ())).problem == MISSING
    assert read_image(ImageRequest(str(tmp_path / 'a.jpg/b.jpg'), 'color', 'cv2', ())).problem == MISSING
    assert read_image(ImageRequest(str(tmp_path), 'color', 'cv2', ())).problem == NO_IMAGE


@pytest.mark.parametrize('decoder', ['cv2', 'pillow'])
@pytest.mark.parametrize('orientation', [1, 3, 6, 8])
def test_the_size_is_that_after_the_turn(request_for, orientation, decoder):
    content = exif_jpeg(orientation)
    turned = read_image(request_for(content, decoder=decoder))
    expected = (HEIGHT, WIDTH) if orientation in (6, 8) else (WIDTH, HEIGHT)
    assert (turned.width, turned.height) == expected
    assert mmcv.imfrombytes(content, backend=decoder).shape[1::-1] == expected
    as_stored = read_image(request_for(content, color_type='color_ignore_orientation', decoder=decoder))
    assert (as_stored.width, as_stored.height) == (WIDTH, HEIGHT)


def test_digest_is_of_the_content(request_for):
    same = [read_image(request_for(encode('.png', 1), name)) for name in ('a.png', 'b.png')]
    assert same[0].digest == same[1].digest != read_image(request_for(encode('.png', 2))).digest


def test_each_file_is_read_once_and_keeps_its_place(request_for, capfd):
    requests = [request_for(encode('.png', seed, 10 + seed, 20), f'{seed}.png') for seed in range(12)]
    reading = read_images([*requests, *requests], threads=4)
    assert len(reading.files) == 12
    assert [reading.files[request].width for request in requests] == [10 + seed for seed in range(12)]
    assert reading.speed().startswith('12 image files (')
    assert '12/12' in capfd.readouterr().err


def test_a_grey_image_of_16_bits(request_for):
    content = cv2.imencode('.png', np.full((5, 7), 40000, np.uint16))[1].tobytes()
    file = read_image(request_for(content))
    assert (file.problem, file.width, file.height) == (None, 7, 5)


@pytest.mark.parametrize(
    ('size', 'variable'), [((40000, 30000), 'PIXELS'), ((2**20 + 1, 1), 'WIDTH'), ((1, 2**20 + 1), 'HEIGHT')]
)
def test_more_pixels_than_opencv_reads(request_for, size, variable):
    """It is not damaged."""
    file = read_image(request_for(b'P6 %d %d 255\n' % size, 'a.ppm'))
    remedy = f'set the environment variable OPENCV_IO_MAX_IMAGE_{variable} to a larger number'
    assert (file.problem, file.limit) == (TOO_LARGE, ('larger than OpenCV reads', remedy))


def test_more_pixels_than_pillow_reads(request_for, monkeypatch):
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 100)
    file = read_image(request_for(encode('.png', 1), decoder='pillow'))
    assert file.problem == TOO_LARGE and file.limit[0] == 'larger than Pillow reads'
    assert "imdecode_backend='cv2'" in file.limit[1]
    assert read_image(request_for(encode('.png', 1))).problem is None
