"""The documented example, docs/bccd.md: convert, check, browse, train, test, each by the command that stands there."""

import json
import re
import shlex
import xml.etree.ElementTree as ET
from collections import Counter

import pytest

SHORT_TRAINING = [
    'max_epochs=1',
    'train_dataloader.dataset.indices=4',
    'val_dataloader.dataset.indices=2',
    'train_cfg.val_interval=1',
    'default_hooks.report.enabled=False',
]


@pytest.fixture(scope='module')
def workplace(tmp_path_factory, shared_dir):
    """A folder with the data as docs/bccd.md wants them."""
    folder = tmp_path_factory.mktemp('bccd')
    (folder / 'data/bccd').mkdir(parents=True)
    for name in ('Annotations', 'ImageSets', 'JPEGImages'):
        (folder / 'data/bccd' / name).symlink_to(shared_dir / 'data/bccd' / name)
    return folder


@pytest.fixture(scope='module')
def commands(repo_dir) -> dict[str, list[str]]:
    """The commands of the page by the tool's name, without ``python tools/``; paths of configs are absolute."""
    text = (repo_dir / 'docs/bccd.md').read_text(encoding='utf-8').replace('\\\n', ' ')
    lines = [line for block in re.findall(r'```bash\n(.*?)```', text, re.DOTALL) for line in block.splitlines()]
    found = {}
    for line in lines:
        python, tool, *arguments = shlex.split(line, comments=True)
        assert python == 'python'
        arguments = [str(repo_dir / word) if word.startswith('configs/') else word for word in arguments]
        found[tool.removeprefix('tools/')] = arguments
    return found


def test_whole_example(workplace, commands, run_tool, shared_dir):
    def run(tool, *extra):
        result = run_tool(tool, *commands.pop(tool), *extra, cwd=workplace)
        return result.returncode, result.stdout

    code, printed = run('dataset/convert_voc.py')
    assert code == 0, printed
    assert 'BloodImage_00343.xml' in printed, 'the box without area is named'
    boxes = Counter(
        node.findtext('name')
        for name in (shared_dir / 'data/bccd/ImageSets/Main/train.txt').read_text().split()
        for node in ET.parse(shared_dir / f'data/bccd/Annotations/{name}.xml').iter('object')
        if node.findtext('bndbox/xmin') != node.findtext('bndbox/xmax')
    )
    content = json.loads((workplace / 'data/bccd/coco/train.json').read_text())
    names = {category['id']: category['name'] for category in content['categories']}
    assert list(names.values()) == ['RBC', 'WBC', 'Platelets']
    assert Counter(names[annotation['category_id']] for annotation in content['annotations']) == boxes

    code, printed = run('dataset/check.py')
    assert code == 0, printed
    assert (workplace / 'work_dirs/sparse-rcnn_lite0_fpn_bccd/check/check.png').is_file()

    code, printed = run('analysis/browse.py', '--number', 2)
    assert code == 0, printed

    code, printed = run('train.py', '--cfg-options', *SHORT_TRAINING)
    assert code == 0, printed
    run_dir = workplace / 'work_dirs/sparse-rcnn_lite0_fpn_bccd'
    (run_dir / 'epoch_1.pth').rename(run_dir / 'epoch_24.pth')

    code, printed = run('test.py', '--cfg-options', 'test_dataloader.dataset.indices=2')
    assert code == 0, printed
    assert len(list((workplace / 'shown').iterdir())) == 2
    assert not commands, 'every command of the page was run'
