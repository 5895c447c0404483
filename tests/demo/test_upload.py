"""Files from strangers."""

import pickle
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from sparse_rcnn_ext.demo import read_upload
from sparse_rcnn_ext.demo.handlers import IMAGE_FORMATS
from sparse_rcnn_ext.prediction import UnreadableError, read_image
from tests.prediction.pictures import BLUE, GREEN, RED, WHITE, corners_picture

LIMIT = 10_000


def save(kind: str, folder: Path) -> Path:
    """The picture of four quarters, 60×40 pixels, as a file of some kind."""
    picture = corners_picture(40, 60)
    if kind == 'turned':
        exif = Image.Exif()
        exif[0x0112] = 6
        picture.transpose(Image.Transpose.ROTATE_90).save(folder / 'a.jpg', exif=exif, quality=95)
        return folder / 'a.jpg'
    if kind == '16 bits':
        cv2.imwrite(str(folder / 'a.png'), np.asarray(picture)[..., ::-1].astype(np.uint16) * 257)
        return folder / 'a.png'
    if kind == 'alpha':
        picture.putalpha(Image.fromarray(np.full((40, 60), 9, np.uint8)))
        picture.save(folder / 'a.png')
        return folder / 'a.png'
    picture.save(folder / f'a.{kind}', format=kind)
    return folder / f'a.{kind}'


@pytest.mark.parametrize('kind', [*IMAGE_FORMATS, 'turned', '16 bits', 'alpha'])
def test_images_of_every_kind(tmp_path, kind):
    path = save(kind, tmp_path)
    image = read_upload(path, LIMIT)
    assert image.shape == (40, 60, 3) and image.dtype == np.uint8
    quarters = [image[row, column, ::-1] for row in (10, 30) for column in (15, 45)]
    assert np.abs(np.array(quarters, int) - (RED, GREEN, BLUE, WHITE)).max() <= 12
    np.testing.assert_array_equal(image, read_image(path))


def test_grey(tmp_path):
    corners_picture().convert('L').save(tmp_path / 'grey.png')
    assert np.ptp(read_upload(tmp_path / 'grey.png', LIMIT).astype(int), axis=2).max() == 0


def png_header(width: int, height: int) -> bytes:
    """The start of a PNG that claims a size, without a pixel."""
    header = b'IHDR' + struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0)
    checked = header + struct.pack('>I', zlib.crc32(header))
    return b'\x89PNG\r\n\x1a\n' + struct.pack('>I', 13) + checked + struct.pack('>I', 99) + b'IDAT'


class Payload:
    """Runs code where it is unpickled."""

    def __reduce__(self):
        return print, ('unpickled',)


def jpeg_2000() -> bytes:
    is_encoded, content = cv2.imencode('.jp2', np.zeros((64, 64, 3), np.uint8))
    assert is_encoded
    return content.tobytes()


@pytest.mark.parametrize(
    ('content', 'reason'),
    [
        (b'', 'is no image'),
        (b'no image', 'is no image'),
        (b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>', 'is no image'),
        (pickle.dumps(Payload()), 'is no image'),
        (jpeg_2000(), 'is no image'),
        (png_header(101, 100), 'has 101×100 pixels, and this page takes 0.01 million'),
        (png_header(9_000, 9_000), 'has 9000×9000 pixels, and this page takes'),
        (png_header(60_000, 60_000), 'has far too many pixels'),
        (png_header(4_000, 2), 'has 4000×2 pixels, which is too narrow a strip'),
    ],
)
def test_what_is_refused_is_never_decoded(tmp_path, monkeypatch, capsys, content, reason):
    path = tmp_path / 'photo.jpg'
    path.write_bytes(content)
    monkeypatch.setattr('sparse_rcnn_ext.demo.handlers.read_image', lambda path: pytest.fail('it was decoded'))
    with pytest.raises(UnreadableError) as error:
        read_upload(path, LIMIT)
    sentence = str(error.value)
    assert sentence.startswith(f'photo.jpg {reason}') and sentence.endswith('.') and '\n' not in sentence
    assert str(tmp_path) not in sentence, "where the server keeps its files is nobody's business"
    assert 'unpickled' not in capsys.readouterr().out


@pytest.mark.parametrize('suffix', ['png', 'jpg', 'tiff', 'webp', 'gif', 'bmp'])
def test_cut_off(tmp_path, suffix):
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (60, 60, 3), dtype=np.uint8)).save(tmp_path / f'whole.{suffix}')
    content = (tmp_path / f'whole.{suffix}').read_bytes()
    (tmp_path / f'cut.{suffix}').write_bytes(content[: len(content) // 2])
    with pytest.raises(UnreadableError, match=rf'^cut\.{suffix} (cannot be read: .*|is no image .*)\.$'):
        read_upload(tmp_path / f'cut.{suffix}', LIMIT)


def test_as_large_as_is_allowed(tmp_path):
    Image.new('RGB', (100, 100)).save(tmp_path / 'a.png')
    assert read_upload(tmp_path / 'a.png', LIMIT).shape == (100, 100, 3)
