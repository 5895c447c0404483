"""Evaluation goes by the names, whatever the order of classes, categories and ids."""

import json
from itertools import permutations

import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.evaluator import Evaluator
from mmengine.logging import MMLogger
from mmengine.structures import InstanceData

from sparse_rcnn_ext.errors import UserError
from tests.datasets.tiny_coco import HEIGHT, WIDTH, box, cats_and_dogs, image, write

NAMES = ('cat', 'dog', 'owl')


def truth(**ids: int) -> dict:
    """The classes differ in number and size: none can stand for another."""
    content = cats_and_dogs(2, **ids)
    content['annotations'] = []
    for number, (name, count) in enumerate(zip(NAMES, (1, 2, 4))):
        for place in range(count):
            where = (18 * place, 18 * number, 12 + number, 10 + place)
            for image_id in (0, 1):
                content['annotations'].append(box(len(content['annotations']) + 1, image_id, ids[name], where))
    return content


def samples(content: dict, classes: tuple[str, ...], but: tuple[str, str] | None = None) -> list[DetDataSample]:
    """What a detector gives that finds the truth; of the names in ``but`` it takes the first for the second."""
    names = {category['id']: category['name'] for category in content['categories']}
    result = []
    for entry in content['images']:
        own = [one for one in content['annotations'] if one['image_id'] == entry['id']]
        boxes = torch.tensor([one['bbox'] for one in own], dtype=torch.float).view(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        true = [classes.index(names[one['category_id']]) for one in own]
        said = [classes.index(but[1]) if but and classes[label] == but[0] else label for label in true]
        sample = DetDataSample(metainfo=dict(img_id=entry['id'], ori_shape=(HEIGHT, WIDTH)))
        sample.pred_instances = InstanceData(
            bboxes=boxes, scores=torch.ones(len(own)), labels=torch.tensor(said).long()
        )
        instances = [dict(bbox=xyxy.tolist(), bbox_label=label, ignore_flag=0) for xyxy, label in zip(boxes, true)]
        sample.set_metainfo(dict(instances=instances))
        result.append(sample)
    return result


def evaluate(ann_file, classes: tuple[str, ...], found: list[DetDataSample], **settings) -> dict[str, float]:
    metric = dict(type='sparse_rcnn_ext.CocoMetric', ann_file=ann_file and str(ann_file), proposal_nums=(1, 10, 100))
    evaluator = Evaluator(metric | settings)
    evaluator.dataset_meta = dict(classes=classes)
    for _ in range(2):  # as at the validations of a training
        evaluator.process(data_samples=found)
        numbers = evaluator.evaluate(len(found))
    return {name.removeprefix('coco/'): value for name, value in numbers.items()}


@pytest.mark.parametrize('by_file', [True, False])
@pytest.mark.parametrize('ids', [dict(cat=1, dog=2, owl=3), dict(owl=9, cat=5, dog=7)])
@pytest.mark.parametrize('classes', list(permutations(NAMES)))
def test_the_truth_scores_one(tmp_path, ids, classes, by_file):
    content = truth(**ids)
    ann_file = write(tmp_path / 'truth.json', content) if by_file else None
    numbers = evaluate(ann_file, classes, samples(content, classes), classwise=True)
    assert numbers['bbox_mAP'] == 1.0
    assert [numbers[f'{name}_precision'] for name in NAMES] == [1.0] * 3


@pytest.mark.parametrize('by_file', [True, False])
@pytest.mark.parametrize('classes', list(permutations(NAMES)))
def test_a_wrong_name_costs_that_class(tmp_path, classes, by_file):
    """Also class by class, where mmdet takes the place in its list for that in pycocotools' sorted one."""
    content = truth(owl=9, cat=5, dog=7)
    ann_file = write(tmp_path / 'truth.json', content) if by_file else None
    numbers = evaluate(ann_file, classes, samples(content, classes, but=('owl', 'cat')), classwise=True)
    assert numbers['owl_precision'] == 0.0
    assert numbers['dog_precision'] == 1.0
    assert 0 < numbers['cat_precision'] < 1  # a fifth of what is said to be cats
    assert numbers['bbox_mAP'] == pytest.approx((1 + numbers['cat_precision']) / 3, abs=2e-3)


def test_mmdet_swaps_them(tmp_path):
    """What ours is for: this fails when it is no longer needed."""
    content, classes = truth(cat=1, dog=2, owl=3), ('owl', 'dog', 'cat')
    path = write(tmp_path / 'truth.json', content)
    numbers = evaluate(path, classes, samples(content, classes), type='mmdet.CocoMetric')
    assert numbers['bbox_mAP'] < 0.5


def test_part_of_the_classes(tmp_path):
    content = truth(cat=1, dog=2, owl=3)
    path = write(tmp_path / 'truth.json', content)
    part = dict(content, annotations=[one for one in content['annotations'] if one['category_id'] != 2])
    assert evaluate(path, ('owl', 'cat'), samples(part, ('owl', 'cat')))['bbox_mAP'] == 1.0


def test_detections_are_written_with_the_file_s_ids(tmp_path):
    content, classes = truth(owl=9, cat=5, dog=7), ('dog', 'owl', 'cat')
    path = write(tmp_path / 'truth.json', content)
    settings = dict(format_only=True, outfile_prefix=str(tmp_path / 'found'))
    assert evaluate(path, classes, samples(content, classes), **settings) == {}
    found = json.loads((tmp_path / 'found.bbox.json').read_text())

    def keys(entries):
        return sorted((one['image_id'], one['category_id'], tuple(one['bbox'])) for one in entries)

    assert keys(found) == keys(content['annotations'])


def test_image_without_detections(tmp_path):
    content, classes = truth(owl=9, cat=5, dog=7), ('dog', 'owl', 'cat')
    content['images'].append(image(5))
    path = write(tmp_path / 'truth.json', content)
    assert evaluate(path, classes, samples(content, classes))['bbox_mAP'] == 1.0


@pytest.mark.parametrize('backend', ['hotcoco', 'pycocotools'])
def test_images_that_were_not_run_are_not_missed(tmp_path, backend, monkeypatch):
    content = truth(owl=9, cat=5, dog=7)
    path = write(tmp_path / 'truth.json', content)
    found = samples(content, NAMES)
    said = []
    monkeypatch.setattr(MMLogger.get_current_instance(), 'warning', said.append)
    assert evaluate(path, NAMES, found, backend=backend)['bbox_mAP'] == 1.0
    assert said == []
    assert evaluate(path, NAMES, found[1:], backend=backend)['bbox_mAP'] == 1.0
    assert said == [f'{path} has 2 images: the evaluation is of the 1 that were run'] * 2
    # Nor does what is found in one count as found in the other.
    found[1].pred_instances = found[1].pred_instances[:0]
    assert evaluate(path, NAMES, found, backend=backend)['bbox_mAP'] < 0.6


def test_missing_class_lists_both_sides(tmp_path):
    content = truth(cat=1, dog=2, owl=3)
    path = write(tmp_path / 'truth.json', content)
    with pytest.raises(UserError, match=r"lacks 1 of .* 3 classes, 'bird', and has the categories 'cat', 'dog', 'owl'"):
        evaluate(path, ('cat', 'dog', 'bird'), samples(content, NAMES))  # the owls may be its birds


@pytest.mark.parametrize(('label', 'by_file'), [(3, True), (57, True), (57, False)])
def test_label_beyond_the_classes(tmp_path, label, by_file):
    content = truth(cat=1, dog=2, owl=3)
    found = samples(content, NAMES)
    found[1].pred_instances.labels[2] = label
    path = write(tmp_path / 'truth.json', content) if by_file else None
    with pytest.raises(UserError, match=rf'has the label {label}, and the data set has 3 .*: set .*num_classes to 3'):
        evaluate(path, NAMES, found)


def test_broken_file(tmp_path):
    with pytest.raises(UserError, match=r'truth.json is empty, cut off or no JSON'):
        evaluate(write(tmp_path / 'truth.json', '{'), NAMES, [])
