"""Fixtures shared by all tests."""

import os
from pathlib import Path

import pytest
from mmengine.registry import init_default_scope

import sparse_rcnn_ext  # noqa: F401  before mmdet.models, as every tool does

REPO = Path(__file__).resolve().parent.parent


@pytest.fixture(scope='session')
def repo_dir() -> Path:
    """The root of the repository."""
    return REPO


@pytest.fixture(scope='session')
def shared_dir() -> Path:
    """The folder with real data and golden values; tests that need it are skipped where it is absent."""
    folder = Path(os.environ.get('SPARSE_RCNN_SHARED', REPO.parent / 'shared'))
    if not folder.is_dir():
        pytest.skip(f'no folder {folder}: set SPARSE_RCNN_SHARED to the one that holds data/ and golden/')
    return folder


@pytest.fixture(scope='module', autouse=True)
def mmdet_scope() -> None:
    """Bare type names mean mmdet's, as under every config of this repository."""
    init_default_scope('mmdet')
