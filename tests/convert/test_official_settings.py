"""The config of the official repository that is named for weights of ours."""

from sparse_rcnn_ext.convert import official_config, read_sizes
from tests.convert.official_model import our_state

FOLDER = 'projects/SparseRCNN/configs'


def test_the_four_that_it_has():
    for depth in (50, 101):
        for proposals in (100, 300):
            state = our_state({'model.backbone.depth': depth, 'model.rpn_head.num_proposals': proposals})
            found = official_config(read_sizes(state, 'a.pth'))
            assert found == (f'{FOLDER}/sparsercnn.res{depth}.{proposals}pro.3x.yaml', {})


def test_softmax_has_a_class_less_than_the_classifier():
    state = our_state({'model.roi_head.bbox_head.num_classes': 8})
    settings = official_config(read_sizes(state, 'a.pth', softmax=True))[1]
    assert settings == {'MODEL.SparseRCNN.NUM_CLASSES': 7, 'MODEL.SparseRCNN.USE_FOCAL': False}


def test_other_sizes_are_settings():
    overrides = {
        'model.backbone.depth': 18,
        'model.neck.in_channels': [64, 128, 256, 512],
        'model.rpn_head.num_proposals': 50,
        'model.roi_head.num_stages': 4,
        'model.roi_head.bbox_head.num_classes': 7,
        'model.roi_head.bbox_head.num_reg_fcs': 2,
    }
    config, settings = official_config(read_sizes(our_state(overrides), 'a.pth'))
    assert config == f'{FOLDER}/sparsercnn.res101.100pro.3x.yaml'
    assert settings == {
        'MODEL.RESNETS.DEPTH': 18,
        'MODEL.RESNETS.RES2_OUT_CHANNELS': 64,
        'MODEL.SparseRCNN.NUM_PROPOSALS': 50,
        'MODEL.SparseRCNN.NUM_HEADS': 4,
        'MODEL.SparseRCNN.NUM_CLASSES': 7,
        'MODEL.SparseRCNN.NUM_REG': 2,
    }
