"""Matching of locations equals the best of all ways, keeps inside of the boxes, and behaves at the edges."""

from typing import NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from sparse_rcnn_ext.models.targets import Targets
from sparse_rcnn_ext.models.upgrades.query_generator import lay_cells
from sparse_rcnn_ext.task_modules.location_matching import location_quality, match_locations
from tests.reference.query_generator import qualities
from tests.reference.set_prediction import best_matching


class Scene(NamedTuple):
    """What the locations of a small pyramid say of a batch, and the truth."""

    logits: Tensor
    boxes: Tensor
    cells: Tensor
    targets: Targets

    def qualities(self, image: int) -> list[list[float]]:
        """Of each location (row) for each ground truth of the image (column), by the slow oracle."""
        targets = self.targets.boxes[image, : self.targets.counts[image]]
        said = (part.tolist() for part in (self.logits[image], self.boxes[image], self.cells, targets))
        return qualities(*said, bonus=self.bonus)

    @property
    def bonus(self) -> float:
        """More than the qualities of all ground truths together."""
        return self.targets.boxes.shape[1] + 1


def make_scene(
    counts: tuple[int, ...],
    grids: tuple[tuple[int, int], ...] = ((2, 3), (1, 2)),
    most_side: float = 1.0,
    seed: int = 0,
) -> Scene:
    """Levels of (height, width) cells, whose strides double from 8; sides are shares of the image's."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, dtype=torch.float64)

    cells = torch.cat([lay_cells(torch.zeros(1, 1, *grid), 8 * 2**level) for level, grid in enumerate(grids)]).double()
    size = torch.tensor([grids[0][1] * 8.0, grids[0][0] * 8.0], dtype=torch.float64)

    centres = cells[:, :2] + 8 * draw(len(counts), len(cells), 2) - 4
    reach = 1 + size * draw(len(counts), len(cells), 2) / 2
    sides = size * (0.02 + (most_side - 0.02) * draw(len(counts), max(counts), 2))
    corners = (size - sides) * draw(len(counts), max(counts), 2)
    real = torch.arange(max(counts)) < torch.tensor(counts)[:, None]
    targets = Targets(
        boxes=torch.cat([corners, corners + sides], -1) * real[..., None],
        labels=torch.zeros(real.shape, dtype=torch.long),
        counts=counts,
        image_whwh=size.repeat(len(counts), 2),
    )
    return Scene(
        6 * draw(len(counts), len(cells)) - 4, torch.cat([centres - reach, centres + reach], -1), cells, targets
    )


def match(scene: Scene) -> list[list[tuple[int, int]]]:
    """(location, target) pairs of each image."""
    pairs = [[] for _ in scene.targets.counts]
    for image, location, target in zip(*(part.tolist() for part in match_locations(*scene)), strict=True):
        pairs[image].append((location, target))
    return pairs


def total(matrix: list[list[float]], pairs: list[tuple[int, int]]) -> float:
    return sum(matrix[location][target] for location, target in pairs)


many_counts = st.lists(st.integers(0, 4), min_size=1, max_size=3).map(tuple)


@settings(max_examples=60)
@given(counts=many_counts, seed=st.integers(0, 2**31), most_side=st.sampled_from([0.1, 0.4, 1.0]))
def test_equals_the_best_of_all_ways(counts, seed, most_side):
    scene = make_scene(counts, most_side=most_side, seed=seed)
    for image, pairs in enumerate(match(scene)):
        matrix = scene.qualities(image)
        expected = -best_matching([[-value for value in row] for row in matrix])[0] if counts[image] else 0
        assert total(matrix, pairs) == pytest.approx(expected, abs=1e-10)
        assert len({location for location, _ in pairs}) == len({target for _, target in pairs}) == counts[image]


@settings(max_examples=30)
@given(
    counts=st.lists(st.integers(0, 12), min_size=1, max_size=3).map(tuple),
    grids=st.sampled_from([((6, 8), (3, 4), (2, 2)), ((3, 2),), ((1, 1), (1, 1))]),
    seed=st.integers(0, 2**31),
)
def test_few_candidates_are_as_good_as_all_locations(counts, grids, seed):
    scene = make_scene(counts, grids, seed=seed)
    for count, image, pairs in zip(counts, range(len(counts)), match(scene), strict=True):
        matrix = np.array(scene.qualities(image)).reshape(len(scene.cells), count)
        best = matrix[linear_sum_assignment(matrix, maximize=True)].sum()
        assert total(matrix, pairs) == pytest.approx(best, abs=1e-9)
        # More boxes than locations leave boxes over, never a location.
        locations, targets = {location for location, _ in pairs}, {target for _, target in pairs}
        assert len(pairs) == len(locations) == len(targets) == min(count, len(scene.cells))
        assert targets <= set(range(count))


@settings(max_examples=20)
@given(seed=st.integers(0, 2**31))
def test_quality_equals_the_slow_one(seed):
    scene = make_scene((3, 2), seed=seed)
    found = location_quality(scene.logits, scene.boxes, scene.cells, scene.targets.boxes)
    assert found.shape == (2, len(scene.cells), 3)
    for image, count in enumerate((3, 2)):
        expected = torch.tensor(scene.qualities(image), dtype=torch.float64)
        torch.testing.assert_close(found[image, :, :count], expected, rtol=1e-9, atol=1e-9)


@settings(deadline=None, max_examples=60)
@given(counts=st.lists(st.integers(1, 4), min_size=1, max_size=2).map(tuple), seed=st.integers(0, 2**31))
def test_as_many_as_possible_are_matched_inside(counts, seed):
    """Counted without any quality: small boxes whose locations are disputed."""
    scene = make_scene(counts, ((3, 3), (1, 1)), most_side=0.5, seed=seed)
    for image, pairs in enumerate(match(scene)):
        inside = [[float(value >= scene.bonus) for value in row] for row in scene.qualities(image)]
        most = -best_matching([[-value for value in row] for row in inside])[0]
        assert total(inside, pairs) == most


def with_one_box(box: tuple[float, ...], grids=((4, 4), (2, 2))) -> Scene:
    scene = make_scene((1,), grids)
    return scene._replace(targets=scene.targets._replace(boxes=torch.tensor([[box]], dtype=torch.float64)))


def test_a_poor_location_inside_goes_before_a_perfect_one_outside():
    box = (1.0, 1.0, 7.0, 7.0)
    scene = with_one_box(box, grids=((4, 4),))
    scene.logits[0, 0], scene.logits[0, 1:] = -20, 20
    scene.boxes[0, 0] = torch.tensor([0.0, 0, 1.5, 1.5])
    scene.boxes[0, 1:] = torch.tensor(box)
    assert match(scene) == [[(0, 0)]]


@pytest.mark.parametrize(('logit', 'box', 'best'), [(8.0, 0.0, 5), (0.0, 1.0, 6)], ids=['surer', 'nearer'])
def test_both_objectness_and_box_count(logit, box, best):
    """Of two locations inside, at rows 1 and columns 1 and 2."""
    scene = with_one_box((9.0, 9.0, 23.0, 15.0), grids=((4, 4),))
    scene.logits.fill_(0.0)
    scene.boxes[0] = torch.tensor([9.0, 9, 16, 15])
    scene.logits[0, 5] = logit
    scene.boxes[0, 6, 2] += box
    assert match(scene) == [[(best, 0)]]


@settings(max_examples=50)
@given(x=st.floats(0, 31), y=st.floats(0, 31), side=st.sampled_from([0.0, 1e-3, 0.5, 1.0]), seed=st.integers(0, 99))
def test_a_box_smaller_than_a_cell_has_a_location_around_it(x, y, side, seed):
    scene = make_scene((1,), ((4, 4), (2, 2)), seed=seed)
    scene = scene._replace(targets=scene.targets._replace(boxes=torch.tensor([[[x, y, x + side, y + side]]]).double()))
    (((location, _),),) = match(scene)
    centre_x, centre_y, stride = scene.cells[location].tolist()
    assert abs(x + side / 2 - centre_x) <= stride / 2 + 1e-5 and abs(y + side / 2 - centre_y) <= stride / 2 + 1e-5


def test_padding_is_never_matched():
    scene = make_scene((1, 3))
    # Padding that would be the best match of every location.
    scene.targets.boxes[0, 1:] = scene.boxes[0, :2]
    scene.logits[0, :2] = 9
    assert [target for _, target in match(scene)[0]] == [0]
    assert sorted(target for _, target in match(scene)[1]) == [0, 1, 2]


@pytest.mark.parametrize('counts', [(0,), (0, 0)])
def test_batch_without_boxes(counts):
    found = match_locations(*make_scene(counts))
    assert [(tuple(part.shape), part.dtype) for part in found] == [((0,), torch.long)] * 3


def test_more_boxes_than_locations_in_one_place():
    """Every location goes to a box, and none to two."""
    scene = make_scene((9, 1), ((2, 2),))
    scene.targets.boxes[0] = torch.tensor([3.0, 3, 5, 5])
    pairs = match(scene)
    assert sorted(location for location, _ in pairs[0]) == [0, 1, 2, 3]
    assert len({target for _, target in pairs[0]}) == 4
    assert len(pairs[1]) == 1


@pytest.mark.parametrize('part', ['logits', 'boxes'])
@pytest.mark.parametrize('bad', [float('nan'), float('inf'), -float('inf')])
def test_values_that_are_not_finite_are_matched_one_to_one(part, bad):
    scene = make_scene((2, 3))
    expected = match(scene)[1]
    getattr(scene, part)[0] = bad
    pairs = match(scene)
    assert sorted(target for _, target in pairs[0]) == [0, 1] and len({location for location, _ in pairs[0]}) == 2
    assert pairs[1] == expected


def test_nothing_takes_a_gradient():
    scene = make_scene((2,))
    scene.logits.requires_grad_()
    scene.boxes.requires_grad_()
    assert not any(part.requires_grad for part in match_locations(*scene))
