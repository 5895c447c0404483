"""The web page as its visitors see it, in a headless browser."""

from pathlib import Path
from urllib.parse import urlsplit

import cv2
import numpy as np

SECONDS = 60
"""For the page to show something: on a busy machine, that takes long."""


def listening_at(port: int) -> set[str]:
    """The addresses at which some process listens, as Linux writes them."""
    rows = [line.split() for name in ('tcp', 'tcp6') for line in Path(f'/proc/net/{name}').read_text().splitlines()]
    return {row[1].split(':')[0] for row in rows if row[1].endswith(f':{port:04X}') and row[3] == '0A'}


class Page:
    """The page as a visitor sees it."""

    def __init__(self, browser, url: str) -> None:
        self.page = browser.new_page(viewport=dict(width=1280, height=900))
        self.page.set_default_timeout(1000 * SECONDS)
        self.hosts: set[str] = set()
        self.page.on('request', lambda request: self.hosts.add(urlsplit(request.url).netloc))
        self.page.goto(url)

    def drop(self, path: Path) -> None:
        self.page.set_input_files('#upload input[type=file]', path)

    def move(self, slider: str, value: float) -> None:
        """Move a slider, and wait for another picture."""
        before = self.picture_address()
        self.page.fill(f'#{slider} input[type=range]', str(value))
        self.page.wait_for_function('before => document.querySelector("#picture img").src != before', arg=before)

    def picture_address(self) -> str:
        return self.page.locator('#picture img').get_attribute('src')

    def picture(self) -> np.ndarray:
        """(H, W, 3) uint8 BGR, as it is on the page."""
        response = self.page.request.get(self.picture_address(), timeout=1000 * SECONDS)
        assert response.ok
        return cv2.imdecode(np.frombuffer(response.body(), np.uint8), cv2.IMREAD_COLOR)

    def row_count(self) -> int:
        """Of the table, without its head."""
        return int(self.page.locator('#table [role=grid]').get_attribute('aria-rowcount')) - 1

    def first_row(self) -> list[str]:
        """Of the table, which draws only the rows that can be seen."""
        cells = self.page.locator('#table [role=gridcell]')
        return [cells.nth(column).inner_text().strip() for column in range(6)]

    def text(self, name: str) -> str:
        return self.page.inner_text(f'#{name}').strip()

    def ask(self, path: str, size: int | None = None) -> int:
        """The status of a request; with a size, of an upload of so many bytes."""
        script = """([path, size]) => {
            const body = new FormData();
            if (size) body.append('files', new Blob([new Uint8Array(size)]), 'a.png');
            return fetch(path, size ? {method: 'POST', body} : {}).then(response => response.status);
        }"""
        return self.page.evaluate(script, [path, size])
