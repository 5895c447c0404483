"""The whole report of a run."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config

from sparse_rcnn_ext.errors import UserError
from sparse_rcnn_ext.report.evidence import build_dataset, gather_evidence
from sparse_rcnn_ext.report.run_files import find_checkpoint, find_config
from sparse_rcnn_ext.report.write import write_report
from tests.report.conftest import TIME, make_run
from tests.report.test_page import Page

FROM_THE_LOG = {'loss', 'learning_rate', 'ap_by_epoch'}
FROM_THE_MODEL = {
    'ap_by_class',
    'precision_recall',
    'confusion_matrix',
    'errors',
    'sizes_and_counts',
    'worst',
    'best',
    'proposals',
    'ap_by_stage',
    'stages',
}


def pictures_of(run: Path) -> set[str]:
    """The names of the PNGs; each has to be one."""
    for path in (run / 'report').iterdir():
        assert cv2.imread(str(path)).shape[1] >= 300, path
    return {path.stem for path in (run / 'report').iterdir()}


def page_of(run: Path) -> Page:
    return Page((run / 'report.html').read_text())


def figures_of(page: Page) -> set[str]:
    return {found['id'] for tag, found in page.tags if tag == 'figure'}


def facts_of(page: Page) -> dict[str, str]:
    """Names and values of the summary."""
    texts = [text for text in page.texts if text]
    start = texts.index('Summary', texts.index('Environment and config')) + 1
    end = next(place for place in range(start, len(texts)) if len(texts[place]) > 20)
    return dict(zip(texts[start:end:2], texts[start + 1 : end : 2]))


@pytest.fixture(scope='module')
def reported(tmp_path_factory, picture_config: Config, checkpoint: Path) -> Path:
    """A run with its report, which tests only read."""
    run = make_run(tmp_path_factory.mktemp('reported') / 'my <run>', picture_config, checkpoint)
    (run / 'report').mkdir()
    (run / 'report/of_an_earlier_one.png').touch()
    assert write_report(run) == run / 'report.html'
    return run


def test_whole(reported: Path):
    run, page = reported, page_of(reported)
    assert pictures_of(run) == figures_of(page) == FROM_THE_LOG | FROM_THE_MODEL
    # One file: whatever it refers to is in it.
    assert all(address.startswith(('#', 'data:image/jpeg;base64,')) for address in page.addresses())
    assert not {'script', 'link', 'iframe', 'object'} & {tag for tag, _ in page.tags}
    assert 'url(' not in (run / 'report.html').read_text().replace('url(#', '')
    targets = {found['id'] for _, found in page.tags if 'id' in found}
    assert {address[1:] for address in page.addresses() if address[0] == '#'} <= targets

    assert {'my <run>', 'PyTorch', '2.11.0', 'cat', 'dog', 'owl'} <= set(page.texts)
    assert 'Measured with epoch_2.pth on the test set: 3 images, 3 objects of 3 classes.' in page.texts
    facts = facts_of(page)
    assert facts['iterations'] == '20' and facts['epochs'] == '2' and facts['training'] == '10 s'
    (config,) = [text for text in page.texts if text.startswith('default_scope')]
    assert "type='sparse_rcnn_ext.SparseRCNN'" in config


def test_accuracy_is_that_of_the_evidence(reported: Path):
    cfg = Config.fromfile(find_config(reported))
    evidence = gather_evidence(cfg, find_checkpoint(reported), None, None, None, 0.3, progress=False)
    assert len(evidence.stages) == 2 and evidence.indices == [0, 1, 2]
    facts = facts_of(page_of(reported))
    assert facts['AP'] == f'{evidence.judgement.stats["AP"]:.3f}'
    assert facts['parameters'] == f'{sum(p.numel() for p in evidence.model.parameters()) / 1e6:.1f} M'


def test_known_detections_and_a_part_of_the_images(run: Path, picture_config: Config):
    """AP from detections that find everything; the stages from one image."""
    _, dataset = build_dataset(picture_config, ('test',))
    found = []
    for index in (2, 0, 1):
        info = dataset.get_data_info(index)
        objects = [instance for instance in info['instances'] if not instance['ignore_flag']]
        found.append(
            dict(
                img_id=info['img_id'],
                bboxes=np.array([instance['bbox'] for instance in objects], dtype=float).reshape(-1, 4),
                scores=np.full(len(objects), 0.9),
                labels=np.array([instance['bbox_label'] for instance in objects], dtype=int),
            )
        )
    options = dict(val_dataloader=dict(batch_size=1))
    write_report(run, options=options, dataset=dataset, detections=found, max_images=1)
    page = page_of(run)
    assert facts_of(page)['AP'] == '1.000'
    assert 'Measured with epoch_2.pth on the val set: 3 images, 3 objects of 3 classes.' in page.texts
    assert 'Each stage as if it were the last, on 1 images.' in page.texts


def test_without_a_checkpoint(run: Path):
    (run / 'last_checkpoint').unlink()
    write_report(run)
    page = page_of(run)
    assert pictures_of(run) == figures_of(page) == FROM_THE_LOG
    note = 'No last_checkpoint leads to weights: what follows is from the log alone. --checkpoint FILE names some.'
    assert note in page.texts


def test_without_a_log(run: Path):
    config = run / 'recipe.py'
    shutil.copy(find_config(run), config)
    shutil.rmtree(run / TIME)
    write_report(run)
    assert figures_of(page_of(run)) == FROM_THE_MODEL


def test_without_data(run: Path):
    write_report(run, options={'test_dataloader': None})
    page = page_of(run)
    assert figures_of(page) == FROM_THE_LOG
    assert 'The config names no validation and no test data, so nothing was detected.' in page.texts


def test_weights_that_diverged(run: Path, checkpoint: Path):
    content = torch.load(checkpoint)
    content['state_dict'] = {name: value * float('nan') for name, value in content['state_dict'].items()}
    (run / 'epoch_2.pth').unlink()
    torch.save(content, run / 'epoch_2.pth')
    write_report(run)
    page = page_of(run)
    assert facts_of(page)['AP'] == '0.000'
    assert {'loss', 'ap_by_class', 'confusion_matrix', 'proposals'} <= figures_of(page)


def test_data_without_objects(run: Path, picture_config: Config, tmp_path: Path):
    path = Path(picture_config.test_dataloader.dataset.data_root, 'truth.json')
    content = json.loads(path.read_text()) | dict(annotations=[])
    (tmp_path / 'empty.json').write_text(json.dumps(content))
    write_report(run, options={'test_dataloader.dataset.ann_file': str(tmp_path / 'empty.json')})
    page = page_of(run)
    assert facts_of(page)['AP'] == '–' and 'There is no object, so nothing can be missed.' in page.texts


def test_user_errors(run: Path, tmp_path: Path):
    with pytest.raises(UserError, match=r'no checkpoint file .*nowhere\.pth: --checkpoint must name one'):
        write_report(run, checkpoint=tmp_path / 'nowhere.pth')
    with pytest.raises(UserError, match=r'the image folder .* does not exist'):
        write_report(run, options={'test_dataloader.dataset.data_prefix.img': 'nowhere'})
    with pytest.raises(UserError, match=r'does not fit the config; .*init_proposal_bboxes'):
        write_report(run, options={'model.rpn_head.num_proposals': 5})
    with pytest.raises(UserError, match='--cfg-options does not fit the config of'):
        write_report(run, options={'default_scope.x': 1})
    assert not (run / 'report.html').exists()
