"""NaN and infinity end a training before they reach its weights; mmengine alone goes on and saves them."""

import math
import re
import shlex
import subprocess
from pathlib import Path

import pytest
import torch
from mmengine.dataset import pseudo_collate
from torch.utils.data import DataLoader, Dataset

from sparse_rcnn_ext.engine.training.non_finite import describe_losses
from sparse_rcnn_ext.errors import UserError
from tests.engine.hooks import spoilt_training
from tests.engine.hooks.spoilt_training import INF, ITERATIONS, NAN, Spoilt, make_runner, weights
from tests.fork_server import LIMIT
from tests.models.small_model import build_model, make_sample

CLIPS = dict(none=None, norm=dict(max_norm=0.1), value=dict(type='value', clip_value=0.1))


def weights_after(folder: Path, iterations: int, **settings: object) -> torch.Tensor:
    """Of a training that is not spoilt."""
    torch.manual_seed(0)
    model = Spoilt()
    seen = []
    runner = make_runner(folder, model, guard=False, **settings)
    model.register_forward_pre_hook(lambda *_: seen.append(weights(model).clone()))
    runner.train()
    return [*seen, weights(model)][iterations]


def train_spoilt(folder: Path, at: tuple[int, ...], how: str | float, **settings: object) -> tuple[Spoilt, str]:
    """The model, and what the training ended with."""
    torch.manual_seed(0)
    model = Spoilt(at, how)
    with pytest.raises(UserError) as stopped:
        make_runner(folder, model, **settings).train()
    return model, str(stopped.value)


@pytest.mark.parametrize('how', [NAN, INF, 'gradient'])
def test_mmengine_alone_goes_on_and_saves_it(tmp_path, how):
    model = Spoilt((6,), how)
    make_runner(tmp_path, model, guard=False).train()
    assert model.count == ITERATIONS
    assert weights(model).isnan().any()
    saved = torch.load(tmp_path / 'epoch_2.pth', weights_only=False)['state_dict']
    assert any(value.isnan().any() for value in saved.values())


@pytest.mark.parametrize('clip', CLIPS)
@pytest.mark.parametrize('how', [NAN, INF, -INF, 'gradient'])
def test_stops_before_the_step(tmp_path, reading, how, clip):
    wrapper = dict(clip_grad=CLIPS[clip] and dict(CLIPS[clip]))
    model, message = train_spoilt(tmp_path / 'run', (6,), how, optim_wrapper=wrapper)
    assert message.startswith('training stopped in iteration 6, before the step of the optimizer: ')
    if how == 'gradient':
        assert (
            'the losses are finite, but not the gradient of bbox_head.1.weight, bbox_head.1.bias (stage 1;' in message
        )
    else:
        assert f': s1.loss_bbox is {how} (stage 1; the first is 0), on ' in message
    assert 'on images/2.jpg, images/3.jpg; the batch is saved as ' in message
    assert f'the last good checkpoint is {tmp_path / "run" / "epoch_1.pth"}: ' in message
    assert not (tmp_path / 'run' / 'epoch_2.pth').exists()
    assert weights(model).isfinite().all()
    if reading == 'at once':
        assert model.count == 6
        wrapper = dict(clip_grad=CLIPS[clip] and dict(CLIPS[clip]))
        assert torch.equal(weights(model), weights_after(tmp_path / 'good', 5, optim_wrapper=wrapper))
    else:
        assert model.count == 7


def test_keeps_the_batch(tmp_path, reading):
    train_spoilt(tmp_path, (6,), INF)
    saved = torch.load(tmp_path / 'non_finite/iter_6.pt', weights_only=True)
    assert saved['iteration'] == 6 and saved['seed'] == [0, 0, 5, 0]
    assert saved['losses'] == {'s1.loss_bbox': INF}
    batch = saved['data_batch']
    assert [value.tolist() for value in batch['inputs']] == [[1, 2, -2], [1, 3, -2]]
    sample = batch['data_samples'][1]
    assert sample['img_path'] == 'images/3.jpg' and sample['ori_shape'] == [6, 9]
    assert sample['gt_instances']['bboxes'].tolist() == [[0, 1, 2, 6]]
    assert sample['gt_instances']['labels'].tolist() == [3]


@pytest.mark.parametrize('last', [4, 8])
def test_the_last_iteration_before_a_checkpoint(tmp_path, reading, last):
    _, message = train_spoilt(tmp_path, (last,), NAN)
    assert f'iteration {last},' in message
    assert ('epoch_1.pth' in message) == (last == 8)
    assert ('no checkpoint had been saved yet' in message) == (last == 4)
    replay = re.findall(r'; python tools/analysis/replay_batch\.py (.+) shows where it begins$', message)
    assert len(replay) == (last == 8)
    for config, checkpoint, batch in map(shlex.split, replay):
        assert Path(config).is_file() and Path(config).parent == tmp_path
        assert (checkpoint, batch) == (str(tmp_path / 'epoch_1.pth'), str(tmp_path / 'non_finite/iter_8.pt'))
    assert [path.name for path in tmp_path.glob('*.pth')] == (['epoch_1.pth'] if last == 8 else [])


@pytest.mark.parametrize('at', [4, 5, 6])
@pytest.mark.parametrize('how', [NAN, 'gradient'])
def test_accumulated_gradients(tmp_path, reading, at, how):
    """Steps after iterations 3, 6 and 8."""
    wrapper = dict(accumulative_counts=3)
    model, message = train_spoilt(tmp_path / 'run', (at,), how, optim_wrapper=wrapper)
    assert f'iteration {at},' in message
    assert weights(model).isfinite().all()
    if reading == 'at once' or at < 6:
        assert torch.equal(weights(model), weights_after(tmp_path / 'good', 5, optim_wrapper=wrapper))


def test_changes_nothing_in_a_good_training(tmp_path, reading):
    torch.manual_seed(0)
    model = Spoilt()
    make_runner(tmp_path / 'ours', model).train()
    assert torch.equal(weights(model), weights_after(tmp_path / 'plain', ITERATIONS))
    assert not (tmp_path / 'ours/non_finite').exists()


def test_weights_that_are_not_finite_are_never_saved(tmp_path):
    """As after a step that was too wide, though its gradient was finite."""
    model = Spoilt()
    runner = make_runner(tmp_path, model, optim_wrapper=dict(optimizer=dict(type='SGD', lr=1e-3)))
    step = runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    take = step.optimizer.step

    def too_wide(*args):
        take(*args)
        if model.count == ITERATIONS:
            torch.nn.init.constant_(model.bbox_head[1].bias, INF)

    step.optimizer.step = too_wide
    with pytest.raises(UserError, match=r'after iteration 8 bbox_head\.1\.bias of the model is not finite, so no .*_1'):
        runner.train()
    assert [path.name for path in tmp_path.glob('*.pth')] == ['epoch_1.pth']


@pytest.mark.parametrize('kind', ['sparse_rcnn_ext.AtomicCheckpointHook', 'CheckpointHook'])
def test_weights_are_looked_at_once_a_save(tmp_path, monkeypatch, kind):
    looked = []
    monkeypatch.setattr('sparse_rcnn_ext.engine.hooks.finite_loss.ill_weights', lambda model: looked.append(1) or [])
    runner = make_runner(tmp_path, Spoilt(), default_hooks=dict(logger=None, checkpoint=dict(type=kind, interval=1)))
    runner.train()
    assert len(looked) == len(list(tmp_path.glob('*.pth'))) == 2


def test_a_full_disk_does_not_hide_it(tmp_path, monkeypatch):
    (tmp_path / 'non_finite').write_text('in the way')
    _, message = train_spoilt(tmp_path, (6,), NAN)
    assert 's1.loss_bbox is nan' in message and 'the batch could not be saved (' in message
    assert 'replay_batch.py' not in message


def test_an_image_that_is_ill_itself_comes_first(tmp_path, monkeypatch):
    load = spoilt_training.Images.__getitem__

    def ill(self, index):
        item = load(self, index)
        if index == 3:
            item['inputs'][1] = NAN
            item['data_samples'].gt_instances.bboxes.tensor[0, 2] = INF
        return item

    monkeypatch.setattr(spoilt_training.Images, '__getitem__', ill)
    model, message = train_spoilt(tmp_path, (), NAN)
    assert model.count == 2
    assert 'on images/3.jpg (with a box and pixels not finite), images/2.jpg; ' in message
    assert '(stages 0, 1; the first is 0)' in message


def test_two_processes_stop_in_the_same_iteration(tmp_path, repo_dir, python, tool_environment):
    # They meet here, as at torchrun: a port that is looked up for them could be another's by then.
    store = torch.distributed.TCPStore('127.0.0.1', 0, is_master=True, wait_for_workers=False)
    job = dict(WORLD_SIZE='2', MASTER_ADDR='127.0.0.1', MASTER_PORT=str(store.port), CUDA_VISIBLE_DEVICES='')
    job['TORCHELASTIC_USE_AGENT_STORE'] = 'True'
    command = [python, spoilt_training.__file__, str(tmp_path)]
    # Without torchrun, which ends one as soon as the other has ended.
    processes = [
        subprocess.Popen(
            command,
            cwd=repo_dir,
            env=tool_environment | job | dict(RANK=str(rank), LOCAL_RANK=str(rank)),
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    printed = [process.communicate(timeout=LIMIT)[1] for process in processes]
    assert [process.returncode for process in processes] == [1, 1], printed
    # Anywhere: gloo may say behind it that the other one is gone.
    errors = [re.findall(r'^error: (.*)', text, re.MULTILINE) for text in printed]
    assert [len(found) for found in errors] == [1, 1] and 'Traceback' not in ''.join(printed)
    (first,), (second,) = errors
    start = 'training stopped in iteration 6, before the step of the optimizer: '
    assert first.startswith(f'{start}the loss of another process is not finite, see its message')
    assert second.startswith(f'{start}s1.loss_bbox is nan (stage 1; the first is 0), on images/2.jpg')
    for rank in range(2):
        saved = torch.load(tmp_path / f'non_finite/iter_6_process_{rank}.pt', weights_only=True)
        assert saved['seed'] == [0, rank, 5, 0]
    assert [path.name for path in tmp_path.glob('*.pth')] == ['epoch_1.pth']


class Photos(Dataset):
    """For a real model."""

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> dict:
        sample = make_sample((64, 90), 3, index)
        sample.set_metainfo(dict(img_path=f'photos/{index}.jpg'))
        return dict(inputs=torch.full((3, 64, 90), 30 * index, dtype=torch.uint8), data_samples=sample)


def test_names_the_stage_of_noised_boxes():
    assert describe_losses({'dn_s2.loss_cls': math.nan}) == 'dn_s2.loss_cls is nan (stage 2; the first is 0)'


def test_names_the_stage_of_a_sparse_rcnn(tmp_path):
    """NaN in stage 1, which reaches the stages behind it, too."""
    model = build_model()
    loader = DataLoader(Photos(), batch_size=2, collate_fn=pseudo_collate)
    runner = make_runner(tmp_path, model, train_dataloader=loader)
    calls = []

    def spoil(module, inputs, output):
        calls.append(weights(model).clone())
        return output * NAN if len(calls) == 3 else None

    model.roi_head.bbox_head[1].fc_reg.register_forward_hook(spoil)
    with pytest.raises(
        UserError, match=r'iteration 3, before .*: s1\.loss_bbox is nan, s1\.loss_iou is nan, '
    ) as stopped:
        runner.train()
    assert '(stages 1, 2; the first is 0), on photos/4.jpg, photos/5.jpg; ' in str(stopped.value)
    assert torch.equal(weights(model), calls[-1])
    assert not torch.equal(calls[0], calls[1])
