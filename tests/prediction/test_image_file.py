"""Files of every kind, made by Pillow, against what Pillow says that they look like."""

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmdet.registry import TRANSFORMS
from PIL import Image

from sparse_rcnn_ext.prediction import UnreadableError, read_image
from sparse_rcnn_ext.prediction.image_file import TooLargeError
from tests.prediction.pictures import BLUE, GREEN, RED, WHITE, corners_picture

# What EXIF's orientation asks of the stored pixels to stand upright, and so what to do to an upright image to store it.
STORED = {
    1: lambda image: image,
    2: lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    3: lambda image: image.transpose(Image.Transpose.ROTATE_180),
    4: lambda image: image.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
    5: lambda image: image.transpose(Image.Transpose.TRANSPOSE),
    6: lambda image: image.transpose(Image.Transpose.ROTATE_90),
    7: lambda image: image.transpose(Image.Transpose.TRANSVERSE),
    8: lambda image: image.transpose(Image.Transpose.ROTATE_270),
}
ORIENTATION = 0x0112


def corner_colors(image: np.ndarray) -> list[list[int]]:
    """RGB in the middle of each quarter, in reading order."""
    height, width = image.shape[:2]
    return [image[height * row // 4, width * column // 4, ::-1].tolist() for row in (1, 3) for column in (1, 3)]


def assert_upright(image: np.ndarray) -> None:
    assert image.shape == (40, 60, 3) and image.dtype == np.uint8
    assert np.abs(np.array(corner_colors(image)) - (RED, GREEN, BLUE, WHITE)).max() <= 4


@pytest.mark.parametrize('orientation', STORED)
@pytest.mark.parametrize('suffix', ['jpg', 'png', 'webp', 'tiff'])
def test_exif_turn_is_made(tmp_path, suffix, orientation):
    path = tmp_path / f'a.{suffix}'
    stored = STORED[orientation](corners_picture())
    if suffix == 'tiff':
        stored.save(path, tiffinfo={ORIENTATION: orientation})
    else:
        exif = Image.Exif()
        exif[ORIENTATION] = orientation
        stored.save(path, exif=exif, quality=95)
    assert_upright(read_image(path))


@pytest.mark.parametrize(
    ('size', 'variable'),
    [((40000, 30000), 'MAX_IMAGE_PIXELS'), ((2**20 + 1, 1), 'MAX_IMAGE_WIDTH'), ((1, 2**20 + 1), 'MAX_IMAGE_HEIGHT')],
)
def test_more_than_opencv_reads(tmp_path, size, variable):
    """By its header; nothing is decoded."""
    path = tmp_path / 'large.ppm'
    path.write_bytes(b'P6 %d %d 255\n' % size)
    with pytest.raises(
        TooLargeError, match=f'larger than OpenCV reads: set .* OPENCV_IO_{variable} to a larger number'
    ):
        read_image(path)


def test_more_than_pillow_reads(tmp_path, monkeypatch):
    corners_picture().save(tmp_path / 'a.webp')
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 1000)
    with pytest.raises(TooLargeError, match='Pillow takes no image so large: save WebP or GIF as PNG'):
        read_image(tmp_path / 'a.webp')


@pytest.mark.parametrize('suffix', ['png', 'jpg', 'tiff', 'webp', 'bmp'])
def test_grey_becomes_three_equal_channels(tmp_path, suffix):
    grey = corners_picture().convert('L')
    grey.save(tmp_path / f'a.{suffix}')
    image = read_image(tmp_path / f'a.{suffix}')
    assert image.shape == (40, 60, 3) and image.dtype == np.uint8
    assert np.ptp(image.astype(int), axis=2).max() <= 3  # WebP keeps colours in halves
    assert np.abs(np.array(corner_colors(image))[:, 0] - [76, 150, 29, 230]).max() <= 3


@pytest.mark.parametrize('suffix', ['png', 'tiff'])
@pytest.mark.parametrize('channels', [1, 3, 4])
def test_of_16_bits_the_upper_8_are_kept(tmp_path, suffix, channels):
    levels = np.linspace(0, 65535, 256 * 8).round().astype(np.uint16).reshape(8, 256)
    pixels = np.stack([levels // (channel + 1) for channel in range(channels)], axis=-1)
    assert cv2.imwrite(str(tmp_path / f'a.{suffix}'), pixels)
    image = read_image(tmp_path / f'a.{suffix}')
    expected = (pixels // 256).astype(int)[..., : min(channels, 3)]
    assert image.dtype == np.uint8 and image.shape == (8, 256, 3)
    assert np.abs(image - expected).max() <= 1, 'scaled, neither cut off at 255 nor taken modulo 256'
    assert image.min() == 0 and image.max() == 255


@pytest.mark.parametrize('suffix', ['png', 'webp'])
def test_transparency_is_dropped(tmp_path, suffix):
    picture = corners_picture().convert('RGBA')
    picture.putalpha(Image.fromarray(np.full((40, 60), 128, np.uint8)))
    picture.save(tmp_path / f'a.{suffix}', lossless=True)
    assert_upright(read_image(tmp_path / f'a.{suffix}'))


def test_transparency_of_tiff_is_a_blend_with_black(tmp_path):
    picture = corners_picture().convert('RGBA')
    picture.putalpha(Image.fromarray(np.full((40, 60), 128, np.uint8)))
    picture.save(tmp_path / 'a.tiff')
    halves = np.array((RED, GREEN, BLUE, WHITE)) * 128 / 255
    assert np.abs(corner_colors(read_image(tmp_path / 'a.tiff')) - halves).max() <= 2


@pytest.mark.parametrize(('mode', 'suffix'), [('P', 'png'), ('P', 'gif'), ('LA', 'png'), ('1', 'png'), ('CMYK', 'jpg')])
def test_other_kinds_of_pixels(tmp_path, mode, suffix):
    picture = corners_picture().quantize(8) if mode == 'P' else corners_picture().convert(mode)
    picture.save(tmp_path / f'a.{suffix}')
    image = read_image(tmp_path / f'a.{suffix}')
    expected = np.asarray(picture.convert('RGB'))[..., ::-1]
    assert image.shape == expected.shape
    assert np.abs(np.subtract(corner_colors(image), corner_colors(expected))).max() <= 3


def test_pixels_are_those_of_the_test_pipeline(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (33, 47, 3), dtype=np.uint8)
    load = TRANSFORMS.build(dict(type='LoadImageFromFile'))
    for name in ('a.jpg', 'a.png'):
        cv2.imwrite(str(tmp_path / name), pixels)
        np.testing.assert_array_equal(read_image(tmp_path / name), load(dict(img_path=str(tmp_path / name)))['img'])


@pytest.mark.parametrize('suffix', ['JPEG', 'PNG', 'WEBP', 'TIFF'])
@pytest.mark.parametrize('share', [0.3, 0.95])
def test_what_is_cut_off_is_refused(tmp_path, suffix, share):
    stream = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (100, 150, 3), dtype=np.uint8)
    Image.fromarray(noise).save(stream, suffix)
    content = stream.getvalue()
    path = tmp_path / 'a.image'
    path.write_bytes(content)
    assert read_image(path).shape == (100, 150, 3)
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(UnreadableError, match='cut off'):
        read_image(path)


def test_reasons(tmp_path: Path):
    (tmp_path / 'empty.png').touch()
    (tmp_path / 'text.png').write_text('no image at all')
    for name, reason in (
        ('empty.png', 'empty'),
        ('text.png', 'no image'),
        ('gone.png', 'No such file'),
        ('', 'direct'),
    ):
        with pytest.raises(UnreadableError, match=reason):
            read_image(tmp_path / name)
