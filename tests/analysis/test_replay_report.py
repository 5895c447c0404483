"""What the report of a replayed batch says, and that it says nothing else."""

import math

import pytest
import torch

from sparse_rcnn_ext.analysis.replay_report import Source, verdict, write_report
from sparse_rcnn_ext.engine.training.batch_replay import IllModule, Replay
from sparse_rcnn_ext.engine.training.saved_batch import SavedBatch

NAN, INF = math.nan, math.inf
GOOD = Replay({'loss': 1.5, 's0.loss_cls': 1.5}, None, [], None)
MODULE = IllModule('roi_head.bbox_head.1.fc_reg', 'Linear', True, 123.4, True)
ILL = Replay({'loss': INF, 's0.loss_cls': 1.5, 's1.loss_bbox': INF, 'loss_rpn': NAN}, MODULE, ['a.weight'], None)
LATER = Source('epoch_1.pth', 4, (), None)


def make_saved(
    boxes: object = ((1.0, 2, 30, 40),), pixels: object = (0.0, 255), found: str = 's1.loss_bbox is inf', **meta: object
) -> SavedBatch:
    """One image of 50 × 60."""
    sample = dict(img_path='a.jpg', img_shape=[50, 60]) | meta
    if boxes is not None:
        sample['gt_instances'] = dict(bboxes=torch.tensor(boxes).reshape(-1, 4))
    image = torch.tensor(pixels).repeat(3, 2, 1)
    return SavedBatch(6, found, dict(inputs=[image], data_samples=[sample]), None)


def image_line(**settings: object) -> str:
    lines = write_report(make_saved(**settings), GOOD, LATER, False).splitlines()
    return lines[lines.index('Images:') + 1]


def test_a_failure():
    assert write_report(make_saved(), ILL, LATER, False).splitlines() == [
        'The batch of iteration 6, in which s1.loss_bbox is inf.',
        '',
        'Losses, computed in full precision:',
        '  loss          all       inf           not finite',
        '  s0.loss_cls   stage 0   1.5',
        '  s1.loss_bbox  stage 1   inf           not finite',
        '  loss_rpn                nan           not finite',
        '',
        'The first module whose output is not finite: roi_head.bbox_head.1.fc_reg (Linear). Its inputs are finite, up '
        'to 123 in magnitude.',
        'Parameters whose gradient is not finite: a.weight.',
        '',
        'Images:',
        '  a.jpg: 1 box; pixels from 0 to 255',
        '',
        verdict(make_saved(), ILL, LATER),
    ]


def test_nothing_odd():
    report = write_report(make_saved(), GOOD, Source('epoch_1.pth', 4, (), 'bfloat16'), True)
    assert 'Losses, computed in bfloat16:\n' in report and 'not finite' not in report
    assert 'The output of every module is finite.\nThe gradients of all parameters are finite.\n' in report
    assert '\nThe first operation of the backward pass that gave NaN: none.\n' in report


def test_the_operation():
    replay = ILL._replace(operation='SqrtBackward0, of line 7 of a.py, in forward')
    sentence = 'backward pass that gave NaN: SqrtBackward0, of line 7 of a.py, in forward.'
    assert sentence in write_report(make_saved(), replay, LATER, True)
    assert sentence not in write_report(make_saved(), replay, LATER, False)


def test_a_module_that_is_not_to_blame():
    module = MODULE._replace(name='', kind='Spoilt', inputs_finite=False, weights_finite=False)
    assert (
        'the model itself (Spoilt). Its inputs are not finite already, up to 123 in magnitude; its weights are not '
        'finite.\n'
    ) in write_report(make_saved(), ILL._replace(module=module), LATER, False)


def test_many_parameters():
    report = write_report(make_saved(), ILL._replace(gradients=[f'p{n}' for n in range(14)]), LATER, False)
    assert 'p10, p11 and 2 more.\n' in report and 'p12' not in report


@pytest.mark.parametrize(
    ('boxes', 'expected'),
    [
        (None, 'no boxes'),
        ((), 'no boxes'),
        (((1.0, 2, 30, 40), (0, 0, 60, 50)), '2 boxes'),
        (((1.0, 2, NAN, 40), (0, 0, INF, 5), (0, 0, 1, 1)), '3 boxes; 2 not finite, such as (1, 2, nan, 40)'),
        (((5.0, 2, 5, 40), (6, 9, 4, 12)), '2 boxes; 2 without area, such as (5, 2, 5, 40)'),
        (((5.0, 9, 8, 2),), '1 box; 1 without area, such as (5, 9, 8, 2)'),
        (((60.0, 2, 70, 40),), '1 box; 1 outside of the image, such as (60, 2, 70, 40)'),
        (((-9.0, 2, 0, 40),), '1 box; 1 outside of the image, such as (-9, 2, 0, 40)'),
        (((6.0, 50, 9, 60),), '1 box; 1 outside of the image, such as (6, 50, 9, 60)'),
        (((6.0, -5, 9, 0),), '1 box; 1 outside of the image, such as (6, -5, 9, 0)'),
        (((-1.0, -1, 59, 49),), '1 box'),
        (((0.0, 0, 61, 51),), '1 box'),
        (((0.0, 0, 61.5, 9),), '1 box; 1 larger than the image, such as (0, 0, 61.5, 9)'),
        (((0.0, 0, 9, 51.5),), '1 box; 1 larger than the image, such as (0, 0, 9, 51.5)'),
    ],
)
def test_boxes(boxes, expected):
    assert image_line(boxes=boxes) == f'  a.jpg: {expected}; pixels from 0 to 255'


def test_the_size_is_that_of_the_pixels_where_nothing_says_it():
    assert '1 outside of the image' in image_line(boxes=((2.0, 0, 9, 1),), img_shape=None)
    assert 'outside' not in image_line(boxes=((1.0, 1, 2, 2),), img_shape=None)


@pytest.mark.parametrize(
    ('pixels', 'expected'),
    [
        ((-1.5, 7), 'pixels from -1.5 to 7'),
        ((3, 3), 'pixels from 3 to 3'),
        ((NAN, 7.0), 'pixels from 7 to 7, and 6 not finite'),
        ((NAN, INF), 'no finite pixel, and 12 not finite'),
    ],
)
def test_pixels(pixels, expected):
    assert image_line(pixels=pixels) == f'  a.jpg: 1 box; {expected}'


@pytest.mark.parametrize(
    ('meta', 'expected'),
    [(dict(img_path=None, img_id=7), '  7: '), (dict(img_path=None), '  an image without a name: ')],
)
def test_names(meta, expected):
    assert image_line(**meta).startswith(expected)


@pytest.mark.parametrize(
    ('settings', 'source', 'expected'),
    [
        ({}, LATER, 'these weights are enough for it, so replay it with an earlier checkpoint; where '),
        ({}, LATER._replace(ill_weights=('a.bias', 'b')), 'a.bias is not finite in it, so take an earlier checkpoint.'),
        (dict(pixels=(NAN, 1.0)), LATER, 'mend the images above that have values which are not finite.'),
        (dict(boxes=((0, 0, NAN, 1),)), LATER._replace(precision='float16'), 'mend the images above '),
        (dict(boxes=None), LATER._replace(precision='float16'), 'try --amp off, and where that does not fail '),
    ],
)
def test_it_fails_again(settings, source, expected):
    found = verdict(make_saved(**settings), ILL, source)
    assert found.startswith(f'It fails again with the weights of epoch_1.pth, which is of iteration 4: {expected}')


@pytest.mark.parametrize('replay', [GOOD._replace(gradients=['a']), GOOD._replace(losses={'loss': NAN})])
def test_what_a_failure_is(replay):
    assert verdict(make_saved(), replay, LATER).startswith('It fails again ')


@pytest.mark.parametrize(
    ('source', 'expected'),
    [
        (
            LATER,
            ', which is of iteration 4: the weights had gone wrong between them and iteration 6, so start with '
            'load_from=epoch_1.pth and a lower optim_wrapper.optimizer.lr.',
        ),
        (LATER._replace(precision='bfloat16'), 'optimizer.lr, or without --amp.'),
        (LATER._replace(iteration=None), 'epoch_1.pth: the weights had gone wrong between '),
        (
            LATER._replace(iteration=5),
            'iteration 5: the iteration began with these very weights, so the device or the ',
        ),
        (LATER._replace(iteration=6), 'iteration 6: they are later than the batch, give a checkpoint of before.'),
    ],
)
def test_it_does_not_fail(source, expected):
    found = verdict(make_saved(), GOOD, source)
    assert found.startswith('It does not fail with the weights of epoch_1.pth') and expected in found


def test_a_batch_of_another_process():
    saved = make_saved(found='the loss of another process is not finite, see its message')
    assert verdict(saved, GOOD, LATER).endswith('had not failed, replay that of the process which names a loss.')
    assert verdict(saved, ILL, LATER).startswith('It fails again ')
