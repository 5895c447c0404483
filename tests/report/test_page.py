"""The page needs no other file, and shows any name as it is."""

import base64
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np

from sparse_rcnn_ext.report.page import Section, Table, embed_picture, write_page

VOID = {'meta', 'img', 'link', 'br'}


class Page(HTMLParser):
    """Tags with their attributes and texts; every tag has to be closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data.strip())

    def addresses(self) -> list[str]:
        """Everything that a browser would follow or load."""
        return [value for _, found in self.tags for name, value in found.items() if name in ('src', 'href')]


def test_names_are_escaped(tmp_path: Path):
    table = Table(('class', 'AP'), [('<script>alert(1)</script>', '0.5')])
    section = Section('one', '"A" & <b>', tiles=[('<i>', '1')], notes=['a < b'], tables=[table], folded=[('c', '<d>')])
    write_page('run <1>', 'of & to', [section], tmp_path / 'page.html')
    page = Page((tmp_path / 'page.html').read_text())
    assert {'run <1>', 'of & to', '"A" & <b>', '<i>', 'a < b', '<script>alert(1)</script>', '<d>'} <= set(page.texts)
    assert not {'script', 'b', 'i', 'link'} & {tag for tag, _ in page.tags}
    assert page.addresses() == ['#one']
    assert list(tmp_path.iterdir()) == [tmp_path / 'page.html']


def test_pictures_are_in_the_page(tmp_path: Path):
    image = np.zeros((40, 60, 3), np.uint8)
    image[:, 30:] = (0, 0, 255)
    cv2.imwrite(str(tmp_path / 'worst.png'), image)
    section = Section('one', 'One', pictures=[embed_picture(tmp_path / 'worst.png')])
    write_page('run', '', [section], tmp_path / 'page.html')
    (address,) = [address for address in Page((tmp_path / 'page.html').read_text()).addresses() if address[0] != '#']
    head, _, content = address.partition(',')
    assert head == 'data:image/jpeg;base64'
    decoded = cv2.imdecode(np.frombuffer(base64.b64decode(content), np.uint8), cv2.IMREAD_COLOR)
    assert decoded.shape == image.shape and np.abs(decoded[:, 45].astype(int) - image[:, 45]).max() < 30
