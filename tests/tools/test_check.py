"""tools/dataset/check.py as a user runs it."""

import json

import pytest
from PIL import Image

from tests.datasets.check.small_data import SmallData

TOOL = 'dataset/check.py'


@pytest.fixture
def data(tmp_path) -> SmallData:
    """In a folder with a blank in its name."""
    return SmallData(tmp_path / 'my data')


@pytest.fixture
def check(run_tool, tmp_path):
    """Write the data and the config, and run the tool."""

    def run(data: SmallData, *arguments: object):
        data.write()
        data.config.dump(tmp_path / 'mine.py')
        return run_tool(TOOL, 'mine.py', *arguments, cwd=tmp_path)

    return run


def test_clean_data(check, data, tmp_path):
    result = check(data)
    assert result.returncode == 0, result.stdout
    assert result.stdout.splitlines()[-1] == 'Nothing to fix.'
    assert '6/6' in result.stdout  # the progress bar
    out = tmp_path / 'work_dirs/mine/check'
    numbers = json.loads((out / 'check.json').read_text())
    assert [dataset['boxes']['kept'] for dataset in numbers['datasets']] == [12, 6]
    assert not numbers['failed']
    assert Image.open(out / 'check.png').size[0] == 2000


def test_broken_data(check, data, tmp_path):
    data.files['train2.jpg'] = data.files['train2.jpg'][:-500]
    data.add_box(bbox=[5, 5, 0, 9])
    result = check(data, '--out', 'found here', '--split', 'train', '--threads', '1')
    assert result.returncode == 1
    assert result.stdout.splitlines()[-1] == (
        f'First fix: {data.root}/images/: 1 image cut off or damaged (train2.jpg): copy the files again, or remove '
        'the entries.'
    )
    assert 'Traceback' not in result.stdout
    numbers = json.loads((tmp_path / 'found here/check.json').read_text())
    assert [dataset['name'] for dataset in numbers['datasets']] == ['train']
    assert {entry['key']: entry['count'] for entry in numbers['findings']} == {
        'image cut off or damaged': 1,
        'zero area': 1,
    }


def test_warnings_do_not_fail(check, data):
    result = check(data, '--cfg-options', 'model.rpn_head.num_proposals=2')
    assert result.returncode == 0, result.stdout
    assert result.stdout.splitlines()[-1] == (
        f'First fix: {data.root}/train.json: 4 images with more boxes than the 2 proposals (train0.jpg: 3, train1.jpg: '
        '3, train2.jpg: 3, …): set model.rpn_head.num_proposals to 3 or more: the boxes beyond it are never matched.'
    )


def test_unusable_annotations_end_in_one_sentence(run_tool, data, tmp_path):
    data.write()
    data.config.dump(tmp_path / 'mine.py')
    (data.root / 'train.json').write_text('{"images": [{"id"')
    result = run_tool(TOOL, 'mine.py', cwd=tmp_path)
    assert result.returncode == 1
    last = result.stdout.splitlines()[-1]
    assert last.startswith(f'error: the annotation file {data.root}/train.json is empty, cut off or no JSON')
    assert 'Traceback' not in result.stdout
