"""Inputs of a user, looked up."""

from pathlib import Path

import pytest

from sparse_rcnn_ext.errors import UserError
from sparse_rcnn_ext.prediction import find_sources

FILES = (
    'shots/b.jpg',
    'shots/a.PNG',
    'shots/deep/er/c.webp',
    'shots/clip.mp4',
    'shots/notes.txt',
    'other/a.PNG',
    'odd',
)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(inputs: list[str], **options) -> list[str]:
    sources, problems = find_sources(inputs, **options)
    assert problems == []
    return [source.name.as_posix() for source in sources]


def test_a_folder_with_all_below_it():
    assert names(['shots']) == ['a.PNG', 'b.jpg', 'clip.mp4', 'deep/er/c.webp']


def test_names_tell_files_of_one_name_apart():
    assert names(['other/a.PNG', 'shots']) == [
        'other/a.PNG', 'shots/a.PNG', 'shots/b.jpg', 'shots/clip.mp4', 'shots/deep/er/c.webp'
    ]  # fmt: skip


def test_a_file_counts_once(folder):
    assert names(['shots/b.jpg', 'shots/../shots/b.jpg', str(folder / 'shots/b.jpg'), 'shots/*.jpg']) == ['b.jpg']


def test_patterns():
    assert names(['shots/*']) == ['a.PNG', 'b.jpg', 'clip.mp4'], 'no text file, no folder'
    assert names(['shots/**/*.webp']) == ['c.webp']


def test_a_file_whose_name_is_a_pattern(folder):
    (folder / 'shots/[1].jpg').touch()
    assert names(['shots/[1].jpg']) == ['[1].jpg']


def test_a_named_file_needs_no_suffix():
    (source,), _ = find_sources(['odd'])
    assert source.path == Path('odd') and not source.is_video


def test_urls_of_local_files(folder):
    (folder / 'shots/a b.jpg').touch()
    assert names([f'file://{folder}/shots/a%20b.jpg']) == ['a b.jpg']
    assert names([(folder / 'shots/deep').as_uri()]) == ['c.webp']
    with pytest.raises(UserError, match=r'https://example\.org/a\.jpg is no URL of a local file'):
        find_sources(['https://example.org/a.jpg'])


def test_webcams_and_videos():
    sources, _ = find_sources(['0', 'shots/clip.mp4', 'odd'])
    assert [source.is_video for source in sources] == [True, True, False]
    assert sources[0].path == 0 and str(sources[0]) == 'webcam 0'
    assert [source.name.as_posix() for source in sources] == ['webcam-0', 'shots/clip.mp4', 'odd']


def test_a_folder_whose_name_is_a_number(folder):
    (folder / '2024').mkdir()
    (folder / '2024/a.jpg').touch()
    assert names(['2024']) == ['a.jpg']


def test_pictures_of_an_earlier_run_are_passed_over(folder):
    (folder / 'shots/out').mkdir()
    (folder / 'shots/out/b.jpg').touch()
    expected = ['a.PNG', 'b.jpg', 'clip.mp4', 'deep/er/c.webp']
    assert names(['shots'], except_in=Path('shots/out')) == expected
    assert names(['shots'], except_in=folder / 'shots/deep/../out') == expected
    assert names(['shots']) == ['a.PNG', 'b.jpg', 'clip.mp4', 'deep/er/c.webp', 'out/b.jpg']


def test_what_leads_nowhere_is_told(folder):
    (folder / 'bare').mkdir()
    sources, problems = find_sources(['gone.jpg', 'bare', '*.jpg', 'odd'])
    assert len(sources) == 1
    assert [problem.partition(':')[0] for problem in problems] == ['gone.jpg', 'bare', '*.jpg']
    assert 'no such file' in problems[0] and 'in this folder' in problems[1] and 'fits this pattern' in problems[2]
