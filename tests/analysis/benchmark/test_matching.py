"""Matching of both."""

from dataclasses import replace

import pytest

from sparse_rcnn_ext.analysis.benchmark.operations import Matching, measure_matching
from sparse_rcnn_ext.errors import UserError


def test_both_find_the_same_pairs(tiny):
    matching = Matching(replace(tiny, proposals=20, boxes=6))
    pairs = matching.run_ours()
    theirs = matching.run_theirs()
    assert (len(theirs), len(theirs[0]), len(theirs[0][0])) == (2, 2, 20)  # stages, images, proposals
    for stage, images in enumerate(theirs):
        for image, matched in enumerate(images):
            here = pairs.image[stage] == image
            ours = dict(zip(pairs.proposal[stage][here].tolist(), pairs.target[stage][here].tolist(), strict=True))
            assert ours == {place: box - 1 for place, box in enumerate(matched.tolist()) if box}
            assert len(ours) == 6
    assert matching.difference() == 0


@pytest.mark.parametrize('boxes', [0, 12])
def test_no_boxes_and_more_than_proposals(tiny, boxes):
    matching = Matching(replace(tiny, boxes=boxes))
    assert matching.run_ours().image.shape == (2, 2 * min(boxes, 10))
    assert matching.difference() == 0


def test_other_costs_are_refused(tiny):
    matching = Matching(tiny)
    matching.theirs.match_costs[1].weight = 500.0
    with pytest.raises(UserError, match=r'ours matches 16 pairs of cost \S+ and mmdet 16 of \S+: a comparison'):
        matching.difference()


def test_a_table_of_settings(tiny):
    settings = [replace(tiny, proposals=proposals, boxes=boxes) for proposals in (5, 9) for boxes in (1, 3)]
    result = measure_matching(settings)
    assert [found.name for found in result.comparisons] == [
        '5 proposals, 1 boxes',
        '5 proposals, 3 boxes',
        '9 proposals, 1 boxes',
        '9 proposals, 3 boxes',
    ]
    assert all(len(found.ours) == 2 and min(found.ours + found.theirs) > 0 for found in result.comparisons)
