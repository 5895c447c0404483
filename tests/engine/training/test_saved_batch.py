"""The file of a batch that stopped a training: what is read from it is what the data loader gave."""

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import HorizontalBoxes
from mmdet.structures.mask import BitmapMasks, PolygonMasks
from mmengine.structures import InstanceData, PixelData

from sparse_rcnn_ext.engine.checkpoints.trust import trust_checkpoints
from sparse_rcnn_ext.engine.training.non_finite import plain
from sparse_rcnn_ext.engine.training.saved_batch import read_batch, restore, walk_images
from sparse_rcnn_ext.errors import UserError
from tests.engine.hostile import Payload, has_run

BOXES = torch.tensor([[1.5, 2, 30, 40], [0, 0, 8, 9]])


def make_sample(name: str = 'a.jpg') -> DetDataSample:
    sample = DetDataSample(
        metainfo=dict(
            img_path=name,
            img_shape=(50, 60),
            scale_factor=(0.5, np.float32(0.25)),
            flip=False,
            homography_matrix=np.eye(3, dtype=np.float32),
        )
    )
    masks = BitmapMasks(np.arange(2 * 50 * 60, dtype=np.uint8).reshape(2, 50, 60), 50, 60)
    sample.gt_instances = InstanceData(bboxes=HorizontalBoxes(BOXES), labels=torch.tensor([3, 0]), masks=masks)
    sample.gt_instances.other = np.array([object(), object()])
    polygons = PolygonMasks([[np.array([1.0, 2, 3, 4, 5, 6])]], 50, 60)
    sample.ignored_instances = InstanceData(bboxes=HorizontalBoxes(BOXES[:1]), labels=torch.tensor([7]), masks=polygons)
    sample.proposals = InstanceData(bboxes=HorizontalBoxes(BOXES[:0]), scores=torch.zeros(0))
    sample.gt_sem_seg = PixelData(sem_seg=torch.ones(1, 50, 60, dtype=torch.long))
    return sample


def save(path, batch: object, **changes: object) -> str:
    content = dict(iteration=6, found='a loss is nan', losses={}, seed=[0, 0, 5, 0], data_batch=plain(batch)) | changes
    torch.save(content, path)
    return str(path)


def test_what_the_loader_gave(tmp_path):
    images = [torch.arange(3 * 50 * 60, dtype=torch.uint8).reshape(3, 50, 60)]
    saved = read_batch(save(tmp_path / 'iter_6.pt', dict(inputs=images, data_samples=[make_sample()])))
    assert saved[:2] == (6, 'a loss is nan') and saved.seed == [0, 0, 5, 0]
    batch = restore(saved.batch)
    assert torch.equal(batch['inputs'][0], images[0]) and batch['inputs'][0].dtype == torch.uint8
    (sample,) = batch['data_samples']
    assert isinstance(sample, DetDataSample)
    assert (sample.img_path, sample.img_shape, sample.scale_factor) == ('a.jpg', (50, 60), (0.5, 0.25))
    assert sample.flip is False and isinstance(sample.homography_matrix, np.ndarray)
    assert (sample.homography_matrix == np.eye(3)).all()
    assert set(sample.keys()) == {'gt_instances', 'ignored_instances', 'proposals', 'gt_sem_seg'}
    truth = sample.gt_instances
    assert torch.equal(truth.bboxes, BOXES) and truth.labels.tolist() == [3, 0]
    assert isinstance(truth.masks, BitmapMasks) and truth.masks.masks.dtype == np.uint8
    assert (truth.masks.masks == make_sample().gt_instances.masks.masks).all()
    assert (truth.masks.height, truth.masks.width) == (50, 60)
    ignored = sample.ignored_instances
    assert torch.equal(ignored.bboxes, BOXES[:1]) and ignored.labels.tolist() == [7]
    assert isinstance(ignored.masks, PolygonMasks) and ignored.masks.masks[0][0].tolist() == [1, 2, 3, 4, 5, 6]
    assert sample.proposals.bboxes.shape == (0, 4)
    assert isinstance(sample.gt_sem_seg, PixelData) and sample.gt_sem_seg.sem_seg.sum() == 3000


def test_what_was_saved_as_a_text_is_left_out():
    sample = DetDataSample()
    sample.gt_instances = InstanceData(labels=torch.tensor([1, 2]))
    fields = plain(sample)
    fields['gt_instances']['odd'] = '<an object>'
    (found,) = restore(dict(inputs=[], data_samples=[fields]))['data_samples']
    assert found.gt_instances.keys() == ['labels']


def test_tensors_are_copies():
    batch = plain(dict(inputs=[torch.zeros(3, 2, 2)], data_samples=[make_sample()]))
    restored = restore(batch)
    restored['inputs'][0] += 1
    restored['data_samples'][0].gt_instances.bboxes += 1
    restored['data_samples'][0].homography_matrix[0] = 7
    assert batch['inputs'][0].sum() == 0
    assert torch.equal(batch['data_samples'][0]['gt_instances']['bboxes'], BOXES)
    assert torch.equal(batch['data_samples'][0]['homography_matrix'], torch.eye(3))


def test_branches_of_semi_supervision(tmp_path):
    inputs = dict(sup=[torch.zeros(3, 50, 60)], teacher=[torch.ones(3, 50, 60)])
    samples = dict(sup=[make_sample('a.jpg')], teacher=[make_sample('b.jpg')])
    batch = read_batch(save(tmp_path / 'batch.pt', dict(inputs=inputs, data_samples=samples))).batch
    assert [(float(pixels.max()), sample['img_path']) for pixels, sample in walk_images(batch)] == [
        (0, 'a.jpg'),
        (1, 'b.jpg'),
    ]
    restored = restore(batch)['data_samples']
    assert restored['teacher'][0].img_path == 'b.jpg' and isinstance(restored['sup'][0], DetDataSample)


def test_a_file_without_seed(tmp_path):
    path = save(tmp_path / 'batch.pt', dict(inputs=[torch.zeros(3)], data_samples=[make_sample()]))
    content = torch.load(path, weights_only=True)
    del content['seed']
    torch.save(content, path)
    assert read_batch(path).seed is None


FOREIGN = {
    'weights': dict(state_dict={}, meta={}),
    'list': [1, 2],
    'no batch': dict(iteration=6, found='', data_batch=None),
    'a tensor': dict(iteration=6, found='', data_batch=torch.zeros(2)),
    'no samples': dict(iteration=6, found='', data_batch=dict(inputs=[torch.zeros(3)])),
    'another number': dict(iteration=6, found='', data_batch=dict(inputs=[torch.zeros(3)], data_samples=[{}, {}])),
    'no images': dict(iteration=6, found='', data_batch=dict(inputs=[], data_samples=[])),
    'no iteration': dict(iteration='x', found='', data_batch=dict(inputs=[torch.zeros(3)], data_samples=[{}])),
    'texts': dict(iteration=6, found='', data_batch=dict(inputs=[torch.zeros(3)], data_samples=['a sample'])),
}


@pytest.mark.parametrize('kind', FOREIGN)
def test_another_file(tmp_path, kind):
    torch.save(FOREIGN[kind], tmp_path / 'other.pt')
    with pytest.raises(UserError, match=r'other\.pt holds no batch of images: give the file that .*/iter_N\.pt in its'):
        read_batch(tmp_path / 'other.pt')


@pytest.fixture
def trusting():
    trust_checkpoints()
    yield
    trust_checkpoints(False)


def test_no_file(tmp_path):
    with pytest.raises(UserError, match=r'no batch file \S+/absent\.pt: give the file'):
        read_batch(tmp_path / 'absent.pt')


@pytest.mark.parametrize('content', [b'', b'text', None])
def test_no_file_of_torch(tmp_path, trusting, content):
    """Where all is trusted, too."""
    path = tmp_path / 'cut.pt'
    save(path, dict(inputs=[torch.zeros(3)], data_samples=[make_sample()]))
    path.write_bytes(path.read_bytes()[:-200] if content is None else content)
    with pytest.raises(UserError, match=r'cut\.pt is no file of torch\.save, or was cut off: give the file'):
        read_batch(path)


@pytest.mark.skipif(torch.__version__ < (2, 6), reason='torch < 2.6 cannot load safely')
def test_a_damaged_file(tmp_path):
    path = tmp_path / 'damaged.pt'
    save(path, dict(inputs=[torch.zeros(3)], data_samples=[make_sample()]))
    content = path.read_bytes()
    path.write_bytes(content.replace(b'data_batch', b'data\xffbatch'))
    with pytest.raises(UserError, match=r'damaged\.pt cannot be read as a batch \(.+\): give one of tools/train\.py'):
        read_batch(path)


@pytest.mark.skipif(torch.__version__ < (2, 6), reason='torch < 2.6 cannot load safely')
def test_objects_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save('crafted.pt', dict(inputs=[], data_samples=[]), payload=Payload())
    with pytest.raises(UserError, match=r'crafted\.pt holds pathlib\.\S+, which could run code: give a batch of '):
        read_batch('crafted.pt')
    assert not has_run()
