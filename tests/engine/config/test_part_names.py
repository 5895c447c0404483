"""What a misspelt name may have meant."""

import mmengine.registry

import sparse_rcnn_ext.models  # noqa: F401  it registers parts
from sparse_rcnn_ext.engine.config.config_parts import names_for, suggest


def test_the_nearest_name():
    assert suggest('num_proposal', ['num_proposals', 'init_cfg']) == 'did you mean num_proposals?'
    assert suggest('resnet', ['ResNeXt', 'ResNet', 'FPN']) == 'did you mean ResNet?'


def test_what_there_is():
    assert suggest('nothing', ['b', 'a']) == 'there are a, b'
    assert suggest('x', [f'name{number:02}' for number in range(14)]).endswith('name11 and 2 more')
    assert suggest('x', []) == 'leave it out'


def test_names_of_the_scope_come_first(monkeypatch):
    """Whichever package was imported first."""
    names_for('mmdet', 'model')  # imports them
    children = mmengine.registry.MODELS.children
    assert {'mmdet', 'sparse_rcnn_ext'} <= set(children)
    for order in (sorted(children), sorted(children, reverse=True)):
        monkeypatch.setattr(mmengine.registry.MODELS, '_children', {name: children[name] for name in order})
        names = names_for.__wrapped__('mmdet', 'model')
        assert names.index('EmbeddingRPNHead') < names.index('sparse_rcnn_ext.EmbeddingRPNHead')
        ours = names_for.__wrapped__('sparse_rcnn_ext', 'model')
        assert ours.index('EmbeddingRPNHead') < ours.index('mmdet.EmbeddingRPNHead')
