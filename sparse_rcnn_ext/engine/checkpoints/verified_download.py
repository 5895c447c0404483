"""Files behind an address, verified by the hash that the address holds."""

import hashlib
import re
import sys
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlparse

import torch
from mmengine.dist import barrier, get_rank, get_world_size
from torch.hub import download_url_to_file

from sparse_rcnn_ext.errors import UserError

from .trust import is_trusting

# As torch names its models; eight digits at least, lest a word like "-bed.pth" be taken for one.
_IN_NAME = re.compile(r'-([0-9a-f]{8,64})\.\w+$')
_IN_FRAGMENT = re.compile(r'sha256=([0-9a-f]{64})')


def download(address: str) -> Path:
    """The file behind an address of http or https, from torch's cache of checkpoints or downloaded into it.

    The process of rank 0 downloads, the others wait. A file of the cache is verified each time, too.

    Args:
        address: Its file name ends in ``-`` and the first eight or more hexadecimal digits of the file's SHA-256, as
            in ``resnet50-0676ba61.pth``; or ``#sha256=`` and all 64 follow it.

    Returns:
        The file in the cache.

    Raises:
        UserError: If the address holds no hash (and checkpoints are not trusted), or the file has another one.
        URLError: If it cannot be downloaded.
    """
    url, fragment = urldefrag(address)
    name = Path(unquote(urlparse(url).path)).name
    expected = _expected_hash(address, name, fragment)
    file = Path(torch.hub.get_dir(), 'checkpoints', name)
    if get_rank() == 0:
        _provide(url, file, expected)
    if get_world_size() > 1:
        barrier()
        if get_rank() > 0:
            # Its own machine may have another cache.
            _provide(url, file, expected)
    return file


def sha256_of(file: Path) -> str:
    """The SHA-256 of a file, 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with file.open('rb') as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _expected_hash(address: str, name: str, fragment: str) -> str:
    if fragment:
        given = _IN_FRAGMENT.fullmatch(fragment)
        if not given:
            raise UserError(f'{address} ends in #{fragment}: write #sha256= and 64 hexadecimal digits')
        return given[1]
    found = _IN_NAME.search(name)
    if not found and not is_trusting():
        raise UserError(
            f'{address} holds no hash by which the download could be verified: add #sha256= and the 64 digits that '
            'its publisher gives, or download it yourself and name the file'
        )
    return found[1] if found else ''


def _provide(url: str, file: Path, expected: str) -> None:
    if file.is_file() and sha256_of(file).startswith(expected):
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        download_url_to_file(url, str(file), expected or None, progress=sys.stderr.isatty())
    except RuntimeError as error:
        if 'invalid hash' not in str(error):
            raise
        raise UserError(
            f'{url} is not the file that was promised ({error}): it was damaged or replaced, and is not kept; '
            'ask its publisher for the right address or hash'
        ) from error
