"""What the CocoMetric refuses, and what it calls its recalls."""

import pytest

from sparse_rcnn_ext.errors import UserError
from sparse_rcnn_ext.evaluation import CocoMetric
from sparse_rcnn_ext.evaluation.box_evaluation import recall_names


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        (
            dict(backend='pycoco'),
            r"^backend of the CocoMetric is 'pycoco': set it to one of 'hotcoco', 'pycocotools'$",
        ),
        (dict(metric=['bbox', 'proposal_fast']), r"^metric 'proposal_fast' of mmdet fails .*: set it to 'proposal'$"),
        (dict(use_mp_eval=True), r"^use_mp_eval .*: leave it out or set backend='pycocotools'$"),
        (
            dict(metric_items=['AR@1000'], proposal_nums=(1, 10, 100)),
            r"^metric_items of the CocoMetric has 'AR@1000': take of .*'AR@1', 'AR@10', 'AR@100', ",
        ),
        (dict(proposal_nums=[100]), r'^proposal_nums of the CocoMetric is \(100,\): give three numbers'),
        (
            dict(metric_items=['mAP', 'mAP50']),
            r"^metric_items of the CocoMetric has 'mAP50': take of 'mAP', 'mAP_50', ",
        ),
    ],
)
def test_wrong_settings(settings, message):
    with pytest.raises(UserError, match=message):
        CocoMetric(**settings)
    CocoMetric(use_mp_eval=True, backend='pycocotools')


def test_names_of_recalls():
    assert recall_names((100, 1, 10)) == ('AR@1', 'AR@10', 'AR@100', 'AR_s@100', 'AR_m@100', 'AR_l@100')


def test_names_of_recalls_by_default_are_those_of_mmdet():
    assert CocoMetric().recalls == ('AR@100', 'AR@300', 'AR@1000', 'AR_s@1000', 'AR_m@1000', 'AR_l@1000')
