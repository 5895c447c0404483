"""What a misspelt name may have meant."""

from sparse_rcnn_ext.engine.part_names import suggest


def test_the_nearest_name():
    assert suggest('num_proposal', ['num_proposals', 'init_cfg']) == 'did you mean num_proposals?'
    assert suggest('resnet', ['ResNeXt', 'ResNet', 'FPN']) == 'did you mean ResNet?'


def test_what_there_is():
    assert suggest('nothing', ['b', 'a']) == 'there are a, b'
    assert suggest('x', [f'name{number:02}' for number in range(14)]).endswith('name11 and 2 more')
    assert suggest('x', []) == 'leave it out'
