"""Downloads are what their addresses promise, from a server on this machine."""

import functools
import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError

import pytest

from sparse_rcnn_ext.engine.checkpoints.trust import trust_checkpoints
from sparse_rcnn_ext.engine.checkpoints.verified_download import download
from sparse_rcnn_ext.errors import UserError

CONTENT = b'what was published'
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Site:
    """A folder that is served, and what was asked of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.requests: list[str] = []
        self.address = ''

    def put(self, name: str, content: bytes = CONTENT) -> str:
        """Serve a file; its address."""
        (self.folder / name).write_bytes(content)
        return f'{self.address}/{name}'


@pytest.fixture
def site(tmp_path, monkeypatch) -> Iterator[Site]:
    site = Site(tmp_path / 'site')
    site.folder.mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *arguments: object) -> None:
            site.requests.append(self.path)

    monkeypatch.setattr('torch.hub.get_dir', lambda: str(tmp_path / 'hub'))
    # A proxy would look for the address on its own machine.
    monkeypatch.setenv('no_proxy', '127.0.0.1')
    handler = functools.partial(Handler, directory=site.folder)
    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler) as server:
        site.address = f'http://127.0.0.1:{server.server_port}'
        threading.Thread(target=server.serve_forever).start()
        yield site
        server.shutdown()
    trust_checkpoints(False)


@pytest.mark.parametrize('digits', [8, 12, 64])
def test_by_the_name(site, tmp_path, digits):
    address = site.put(f'model-{SHA256[:digits]}.pth')
    file = download(address)
    assert file.parent == tmp_path / 'hub/checkpoints'
    assert file.read_bytes() == CONTENT
    assert download(address) == file
    assert len(site.requests) == 1, 'the second time it was in the cache'


def test_by_the_fragment(site):
    assert download(f'{site.put("model.pth")}#sha256={SHA256}').read_bytes() == CONTENT


@pytest.mark.parametrize('ending', [f'-{SHA256[:8]}.pth', f'.pth#sha256={SHA256}'])
def test_another_file_is_refused_and_not_kept(site, tmp_path, ending):
    name = f'model{ending}'
    site.put(name.partition('#')[0], b'something else')
    with pytest.raises(UserError, match=r'is not the file that was promised .*damaged or replaced'):
        download(f'{site.address}/{name}')
    assert not list((tmp_path / 'hub/checkpoints').iterdir())


def test_the_cache_is_verified_too(site):
    """torch itself takes what lies there."""
    address = site.put(f'model-{SHA256[:8]}.pth')
    download(address).write_bytes(b'damaged')
    assert download(address).read_bytes() == CONTENT


@pytest.mark.parametrize('name', ['epoch_12.pth', 'flower-bed.pth', 'model-abcdefg1.pth'])
def test_an_address_without_a_hash(site, name):
    with pytest.raises(UserError, match=rf'{name} holds no hash by which .*: add #sha256='):
        download(site.put(name))
    assert not site.requests
    trust_checkpoints()
    assert download(f'{site.address}/{name}').read_bytes() == CONTENT


def test_a_fragment_that_is_no_hash(site):
    with pytest.raises(UserError, match='ends in #sha256=12: write #sha256= and 64'):
        download(f'{site.put("model.pth")}#sha256=12')
    assert not site.requests


def test_trust_does_not_excuse_a_wrong_hash(site):
    trust_checkpoints()
    with pytest.raises(UserError, match='is not the file that was promised'):
        download(site.put('model-00000000.pth'))


def test_what_is_not_there(site):
    with pytest.raises(URLError, match='404'):
        download(f'{site.address}/absent-{SHA256[:8]}.pth')
