"""Detections read from COCO's result format."""

import json
from pathlib import Path

import numpy as np
import pytest

from sparse_rcnn_ext.errors import UserError
from sparse_rcnn_ext.report.predictions import read_results


def entry(image, category, score, box=(1, 2, 30, 40)) -> dict:
    return dict(image_id=image, category_id=category, score=score, bbox=list(box))


def test_read(dataset, tmp_path: Path):
    path = tmp_path / 'found.json'
    path.write_text(json.dumps([entry(3, 2, 0.1), entry(1, 1, 0.2), entry(1, 3, 0.9, (5, 6, 7, 8)), entry(1, 44, 1.0)]))
    first, second, third = read_results(path, dataset)
    assert [found['img_id'] for found in (first, second, third)] == [1, 2, 3]
    np.testing.assert_allclose(first['bboxes'], [[5, 6, 12, 14], [1, 2, 31, 42]])
    np.testing.assert_allclose(first['scores'], [0.9, 0.2])
    assert first['labels'].tolist() == [2, 0] and third['labels'].tolist() == [1]
    assert second['bboxes'].shape == (0, 4) and len(second['labels']) == 0


@pytest.mark.parametrize(
    ('content', 'reason'),
    [
        ('[', 'cannot be read as detections'),
        ('[{"image_id": 1}]', "no 'bbox'"),
        ('[{"bbox": [1, 2]}]', 'cannot be read as detections'),
        ('{"images": []}', 'cannot be read as detections'),
        (json.dumps([entry(9, 1, 0.5)]), 'has detections in the image 9, which .*truth.json does not have'),
    ],
)
def test_other_files(dataset, tmp_path: Path, content: str, reason: str):
    path = tmp_path / 'found.json'
    path.write_text(content)
    with pytest.raises(UserError, match=reason) as error:
        read_results(path, dataset)
    assert str(path) in str(error.value)
    with pytest.raises(UserError, match=r'nowhere\.json'):
        read_results(tmp_path / 'nowhere.json', dataset)


def test_data_of_another_format(tmp_path: Path):
    with pytest.raises(UserError, match='as COCO does, and the data set is a object: give a checkpoint'):
        read_results(tmp_path / 'found.json', object())
