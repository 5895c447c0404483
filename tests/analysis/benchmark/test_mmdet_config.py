"""Our config in mmdet's words."""

from pathlib import Path

import mmdet
import pytest
from mmengine.config import Config

from sparse_rcnn_ext.analysis.benchmark.mmdet_config import mmdet_model
from sparse_rcnn_ext.analysis.benchmark.settings import Setting, read_model, settle
from sparse_rcnn_ext.errors import UserError


@pytest.mark.parametrize(
    ('name', 'given'),
    [
        ('sparse-rcnn_r50_fpn_1x_coco.py', {}),
        ('sparse-rcnn_r50_fpn_300-proposals_crop-ms-480-800-3x_coco.py', dict(proposals=300)),
    ],
)
def test_it_is_what_mmdet_has(name, given):
    path = Path(mmdet.__file__).parent / '.mim/configs/sparse_rcnn' / name
    if not path.is_file():
        pytest.skip(f'this mmdet comes without its configs: no {path}')
    expected = Config.fromfile(path).model.to_dict()
    expected['backbone']['init_cfg'] = None
    found = mmdet_model(read_model(settle(Setting(**given)))).to_dict()
    # The extractor's default, which ours says.
    for side in (expected, found):
        side['roi_head']['bbox_roi_extractor'].setdefault('finest_scale', 56)
    assert found == expected


def test_stages_and_their_weights():
    model = read_model(Setting(stages=3))
    model.criterion.stage_loss_weights = [1.0, 2.0, 3.0]
    model.test_cfg = dict(max_per_img=7)
    found = mmdet_model(model)
    assert found.roi_head.num_stages == len(found.roi_head.bbox_head) == len(found.train_cfg.rcnn) == 3
    assert found.roi_head.stage_loss_weights == [1.0, 2.0, 3.0]
    assert found.test_cfg.rcnn.max_per_img == 7


@pytest.mark.parametrize('row', ['softmax', 'roi-attention', 'boxes-grid', 'roi-fc', 'shared-stages', 'dropout'])
def test_a_part_that_mmdet_lacks_is_one_sentence(repo_dir, row):
    model = read_model(Setting(model=str(repo_dir / f'configs/sparse_rcnn/ablations/{row}.py')))
    if row in ('dropout', 'boxes-grid'):  # mmdet has dropout, and where proposals start is in the weights
        assert mmdet_model(model).roi_head.bbox_head[0].dropout == model.roi_head.bbox_head.dropout
        return
    with pytest.raises(UserError, match=r'which mmdet has no counterpart of: measure a config whose \S+ is one of'):
        mmdet_model(model)
