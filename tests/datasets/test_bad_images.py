"""A bad image ends in a sentence with its file and a count, or is skipped and counted; mmdet's data set shows why."""

from collections.abc import Iterator

import cv2
import numpy as np
import pytest
from mmdet.datasets import CocoDataset as MMDetCocoDataset
from mmengine.logging import MMLogger
from torch.utils.data import DataLoader, _utils

from sparse_rcnn_ext.datasets import CocoDataset
from sparse_rcnn_ext.errors import UserError
from tests.datasets.tiny_coco import HEIGHT, WIDTH, cats_and_dogs, write

LOAD = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations', with_bbox=True), dict(type='PackDetInputs')]
OTHERS = dict(type='sparse_rcnn_ext.LoadOtherImages', number=3, transforms=LOAD[:2])


def png(width: int = WIDTH, height: int = HEIGHT) -> bytes:
    return cv2.imencode('.png', np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8))[1].tobytes()


BAD = {
    'is missing': None,
    'is of 0 bytes': b'',
    'is cut off or damaged': png()[:-900],
    'is no image': b'<html>404</html>',
    'is larger than OpenCV reads (set the environment variable OPENCV_IO_MAX_IMAGE_PIXELS to a larger number)': (
        b'P6 40000 30000 255\n'
    ),
    f'is 40x30, and the annotations say {WIDTH}x{HEIGHT}': png(40, 30),
    f'is {HEIGHT}x{WIDTH} as read, perhaps turned by EXIF, and': png(HEIGHT, WIDTH),
}
SAME_FILE = {key: BAD[key] for key in ('is missing', 'is of 0 bytes', 'is cut off or damaged', 'is no image')}


@pytest.fixture(autouse=True, scope='module')
def _no_long_goodbye() -> Iterator[None]:
    """Torch waits so long, else 5 s, for a worker that does not end by itself."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_utils, 'MP_STATUS_CHECK_INTERVAL', 0.1)
        yield


@pytest.fixture
def build(tmp_path):
    """``build({image: content}, **settings)`` gives a data set of 6 images, of which those are replaced."""

    def run(bad: dict[int, bytes | None], type_: type = CocoDataset, **settings: object) -> MMDetCocoDataset:
        write(tmp_path / 'truth.json', cats_and_dogs(6), tmp_path)
        for number, content in bad.items():
            path = tmp_path / f'{number}.png'
            path.unlink() if content is None else path.write_bytes(content)
        given = dict(data_root=str(tmp_path), ann_file='truth.json', data_prefix=dict(img=''), pipeline=LOAD)
        return type_(**given | dict(serialize_data=False, metainfo=dict(classes=('cat', 'dog'))) | settings)

    return run


@pytest.fixture
def logged(caplog):
    """``logged()`` gives the text of the lines that mmengine's logger wrote."""
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    yield lambda: [record.getMessage() for record in caplog.records]
    logger.removeHandler(caplog.handler)


@pytest.mark.parametrize('test_mode', [False, True])
@pytest.mark.parametrize('problem', BAD)
def test_sentence(build, problem, test_mode):
    dataset = build({2: BAD[problem], 4: b''}, test_mode=test_mode)
    assert dataset[1]['inputs'].shape == (3, HEIGHT, WIDTH)
    with pytest.raises(UserError) as error:
        dataset[2]
    text = str(error.value)
    assert f'/2.png {problem}' in text and '2 of the 6 images in ' in text and 'truth.json cannot be used' in text
    assert ("on_bad_image='skip'" in text) is not test_mode
    assert '\n' not in text


@pytest.mark.parametrize('problem', SAME_FILE)
def test_mmdet_ends_in_an_error_of_a_library(build, problem):
    """What ours is for: this fails when it is no longer needed."""
    with pytest.raises((FileNotFoundError, cv2.error, AssertionError)) as error:
        build({2: BAD[problem]}, MMDetCocoDataset)[2]
    assert 'truth.json' not in str(error.value)


def test_mmdet_takes_another_size_in_silence(build):
    assert build({2: png(40, 30)}, MMDetCocoDataset)[2]['inputs'].shape == (3, 30, 40)


def test_an_image_that_another_one_asked_for(build):
    dataset = build(dict.fromkeys(range(1, 6), b''), pipeline=[*LOAD[:2], OTHERS])
    np.random.seed(0)
    with pytest.raises(UserError, match=r'/[1-5]\.png is of 0 bytes; 5 of the 6 images'):
        dataset[0]


def test_other_errors_stay_what_they_are(build):
    with pytest.raises(KeyError):
        build({}, pipeline=[*LOAD[:1], dict(type='RandomFlip', prob=1.0), lambda sample: sample['nothing']])[0]


@pytest.mark.parametrize(
    ('transform', 'message'),
    [
        (dict(type='Resize', scale=(1, 'a')), r'^Resize\(scale=\(1, .a.\), .*\) of a pipeline fails \(\w+: '),
        (dict(type='Resize', scale=(-3, -3)), r'^Resize\(.* of a pipeline fails \(\w+: '),
        (dict(type='RandomApply', prob=1.0, transforms=[dict(type='Resize', scale=(1, 'a'))]), r'^Resize\(scale'),
    ],
)
def test_value_that_a_transform_refuses_late(build, transform, message):
    with pytest.raises(UserError, match=message) as error:
        build({}, pipeline=[*LOAD[:2], transform, LOAD[2]])[0]
    assert '\n' not in str(error.value) and str(error.value).endswith('correct its settings, or its place there')


def test_transform_without_what_it_needs(build):
    with pytest.raises(UserError, match=r'^RandomFlip\(.* fails \(KeyError: .img.\): correct .* its place there$'):
        build({}, pipeline=[dict(type='RandomFlip', prob=1.0), *LOAD])[0]


@pytest.mark.parametrize(('workers', 'persistent'), [(0, False), (2, False), (1, True)])
def test_one_sentence_out_of_a_worker(build, workers, persistent):
    loader = DataLoader(build({5: b''}), 1, num_workers=workers, persistent_workers=persistent, collate_fn=list)
    batches = iter(loader)
    for _ in range(5):
        next(batches)
    with pytest.raises(UserError) as error:
        next(batches)
    text = str(error.value)
    assert text.startswith('the image ') and '5.png is of 0 bytes; 1 of the 6 images in ' in text
    assert 'Traceback' not in text and '\n' not in text
    assert next(batches, None) is None


@pytest.mark.parametrize('workers', [0, 2])
def test_skipped_and_counted_over_all_workers_and_epochs(build, workers):
    dataset = build({1: b'', 4: None}, on_bad_image='skip')
    loader = DataLoader(dataset, 1, num_workers=workers, persistent_workers=workers > 0, collate_fn=list)
    for _ in range(2):
        names = [batch[0]['data_samples'].img_id for batch in loader]
        assert len(names) == 6 and not {1, 4} & set(names)
    assert dataset._bad.tolist() == [False, True, False, False, True, False]


def test_the_log_names_and_counts_each_once(build, logged):
    dataset = build({1: b'', 4: png(40, 30)}, on_bad_image='skip')
    for index in (0, 1, 4, 1, 4):
        assert dataset[index]['data_samples'].img_id not in (1, 4)
    lines = [line for line in logged() if 'skipped' in line]
    assert len(lines) == 2
    assert '1.png is of 0 bytes: skipped, as on_bad_image says; 1 of the 6 images of truth.json' in lines[0]
    assert '4.png is 40x30' in lines[1] and '2 of the 6 images of truth.json so far' in lines[1]


def test_nothing_but_bad_images(build):
    dataset = build(dict.fromkeys(range(6)), on_bad_image='skip')
    with pytest.raises(UserError, match=r'100 images in a row of .*truth\.json cannot be used; .* is missing: set'):
        dataset[0]


@pytest.mark.parametrize('content', [b'', png(40, 30)], ids=['unreadable', 'of another size'])
def test_a_test_skips_nothing(build, content):
    with pytest.raises(UserError, match='1 of the 6 images'):
        build({1: content}, on_bad_image='skip', test_mode=True)[1]


def test_unknown_policy(build):
    with pytest.raises(UserError, match="on_bad_image of the data set is 'ignore': set it to 'stop' or 'skip'"):
        build({}, on_bad_image='ignore')


def test_test_time_augmentation(build):
    pack = dict(type='PackDetInputs', meta_keys=('ori_shape',))
    views = dict(type='TestTimeAug', transforms=[[dict(type='Resize', scale_factor=1.0)], [pack]])
    dataset = build({3: png(40, 30)}, pipeline=[LOAD[0], views], test_mode=True)
    assert len(dataset[0]['inputs']) == 1
    with pytest.raises(UserError, match=r'3\.png is 40x30'):
        dataset[3]
