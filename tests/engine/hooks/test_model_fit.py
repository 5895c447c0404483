"""A checkpoint fits the model, is made to fit, or is refused in one sentence."""

import logging

import pytest
import torch
from mmdet.models.detectors import SemiBaseDetector
from mmengine.config import Config
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from sparse_rcnn_ext.engine.hooks import CheckpointFitHook
from sparse_rcnn_ext.errors import UserError
from tests.engine.hooks.small_runner import LAYERS, SmallDetector, make_runner, save

EMA = dict(type='mmengine.EMAHook')


@pytest.fixture
def start(tmp_path, caplog):
    """``start(model, state, hooks=…)`` gives a Runner that loads ``state``; ``start.lines(runner)`` what it logged."""

    def run(model: SmallDetector, state: dict | None, hooks: tuple = (), **settings: object) -> Runner:
        if state is not None:
            settings['load_from'] = save(tmp_path / 'start.pth', state)
        runner = make_runner(tmp_path, [CheckpointFitHook(), *hooks], model, **settings)
        runner.logger.addHandler(caplog.handler)
        caplog.set_level(logging.INFO)
        return runner

    run.lines = lambda: [(record.levelname, record.getMessage()) for record in caplog.records]
    return run


def equal(state: dict, other: dict, names: list[str]) -> bool:
    return all(torch.equal(state[name], other[name]) for name in names)


def names_of(model: SmallDetector, classifier: bool) -> list[str]:
    return [name for name in model.state_dict() if ('fc_cls' in name) is classifier]


def test_equal_checkpoint_is_loaded_without_a_word(start):
    model, other = SmallDetector(3), SmallDetector(3)
    start(model, other.state_dict()).train()
    assert equal(model.state_dict(), other.state_dict(), list(other.state_dict()))
    assert not [text for _, text in start.lines() if 'start.pth' in text and 'Load checkpoint' not in text]


@pytest.mark.parametrize('hooks', [(), (EMA,)])
@pytest.mark.parametrize('prefix', ['', 'module.'])
def test_classifier_of_another_size_stays_fresh(start, hooks, prefix, tmp_path):
    model, other = SmallDetector(3), SmallDetector(80)
    state = {prefix + name: value for name, value in other.state_dict().items()}
    runner = start(model, state, hooks)
    runner.train()
    own = model.state_dict()
    assert equal(own, other.state_dict(), names_of(model, classifier=False))
    for layer in LAYERS:
        assert own[f'{layer}.weight'].shape == (3, 4)
        assert (own[f'{layer}.weight'] == 7).all(), 'init_weights is not undone'
    about = [(level, text) for level, text in start.lines() if 'fc_cls' in text]
    file = tmp_path / 'start.pth'
    assert about == [
        (
            'INFO',
            f'{file} was trained on 80 classes, and the config has 3: '
            f'{", ".join(LAYERS)} keep their fresh initialisation.',
        )
    ]
    assert not [text for level, text in start.lines() if level == 'WARNING' and 'state dict' in text]
    saved = torch.load(tmp_path / 'epoch_1.pth', weights_only=False)
    assert equal(saved['state_dict'], own, list(own))
    if hooks:
        assert equal({name[7:]: value for name, value in saved['ema_state_dict'].items()}, own, list(own))


@pytest.mark.parametrize('before', [2, 80])
def test_classifier_of_another_size_is_refused_in_a_test(start, before, tmp_path):
    runner = start(SmallDetector(3), SmallDetector(before).state_dict())
    with pytest.raises(UserError) as error:
        runner.test()
    first, second = LAYERS
    assert str(error.value) == (
        f'{tmp_path}/start.pth does not fit the config; 6 of 10 parameters (60%) match: '
        f'{first}.weight is {before}×4 in the file and 3×4 in the model; '
        f'{first}.bias is {before} in the file and 3 in the model; '
        f'{second}.weight is {before}×4 in the file and 3×4 in the model; and 1 more: '
        f'set model.roi_head.bbox_head.num_classes to {before}, or give a checkpoint of this config'
    )


def partly() -> dict:
    """Of the 10 parameters, one of another shape and one missing; two that are not in the model."""
    state = SmallDetector(3).state_dict()
    state['neck.weight'] = torch.zeros(4, 5)
    del state['roi_head.bbox_head.1.fc_reg.bias']
    return state | {'mask_head.weight': torch.zeros(2, 2), 'steps': torch.tensor(3)}


FACTS = (
    '8 of 10 parameters (80%) match: neck.weight is 4×5 in the file and 4×2 in the model; '
    'roi_head.bbox_head.1.fc_reg.bias (4) is not in the file; mask_head.weight (2×2) is not in the model; and 1 more'
)


def test_other_mismatches_are_a_warning_in_training(start, tmp_path):
    model = SmallDetector(3)
    fresh = model.neck.weight.clone()
    start(model, partly()).train()
    assert torch.equal(model.neck.weight, fresh)
    warnings = [text for level, text in start.lines() if level == 'WARNING' and 'parameters' in text]
    file = tmp_path / 'start.pth'
    assert warnings == [f'{file} fits the config in part; {FACTS}. The rest keeps its fresh initialisation.']


def test_other_mismatches_are_refused_in_a_test(start, tmp_path):
    with pytest.raises(UserError) as error:
        start(SmallDetector(3), partly()).test()
    assert str(error.value) == (
        f'{tmp_path}/start.pth does not fit the config; {FACTS}: give the config that it was trained with'
    )


def test_names_of_the_official_repository(start, tmp_path):
    state = {f'head.head_series.0.{name}': value for name, value in SmallDetector(3).state_dict().items()}
    for content in (state, dict(model=state, iteration=5)):
        torch.save(content, tmp_path / 'official.pth')
        with pytest.raises(UserError, match=r'official\.pth has the names .*: run tools/convert/official_to_mmdet\.py'):
            start(SmallDetector(3), None, load_from=str(tmp_path / 'official.pth')).train()


def test_weights_that_mmengine_would_not_find(start, tmp_path):
    """It looks under ``state_dict`` alone, so nothing would be loaded."""
    torch.save(dict(model=SmallDetector(3).state_dict()), tmp_path / 'other.pth')
    with pytest.raises(UserError, match=r'does not fit the config; 0 of 10 parameters'):
        start(SmallDetector(3), None, load_from=str(tmp_path / 'other.pth')).test()


def test_file_that_holds_a_list(start, tmp_path):
    torch.save([1, 2], tmp_path / 'list.pth')
    with pytest.raises(UserError, match=r'list\.pth holds a list and no weights'):
        start(SmallDetector(3), None, load_from=str(tmp_path / 'list.pth')).test()


def test_nothing_in_common(start):
    state = {f'backbone.{name}': value for name, value in SmallDetector(3).state_dict().items()}
    with pytest.raises(UserError, match=r'does not fit the config at all; 0 of 10 parameters \(0%\) match: .* or None'):
        start(SmallDetector(3), state).train()


def test_counts_of_batch_norm_do_not_matter(start):
    model = SmallDetector(3)
    model.neck.register_buffer('num_batches_tracked', torch.tensor(0))
    start(model, SmallDetector(3).state_dict()).test()


def test_file_without_the_key_state_dict(start, tmp_path):
    other = SmallDetector(80).state_dict()
    path = tmp_path / 'bare.pth'
    torch.save(other, path)
    model = SmallDetector(3)
    start(model, None, load_from=str(path)).train()
    assert equal(model.state_dict(), other, names_of(model, classifier=False))
    assert (model.state_dict()[f'{LAYERS[0]}.weight'] == 7).all()


@pytest.mark.parametrize('hooks', [(), (EMA,)])
def test_a_resumed_run_goes_on_unchanged(start, hooks, tmp_path):
    start(SmallDetector(3), None, hooks, rate=0.125).train()
    saved = torch.load(tmp_path / 'epoch_1.pth', weights_only=False)
    model = SmallDetector(3)
    settings = dict(load_from=str(tmp_path / 'epoch_1.pth'), resume=True, train_cfg=dict(by_epoch=True, max_epochs=2))
    start(model, None, hooks, **settings).train()  # at a rate of 0 from the config; SGD's state brings 0.125 back
    trained = saved['state_dict'] if not hooks else {k[7:]: v for k, v in saved['ema_state_dict'].items() if '.' in k}
    for name, value in model.state_dict().items():
        assert torch.allclose(value + 2 * 0.125, trained[name], atol=1e-6), name


def test_resuming_with_another_number_of_classes_is_refused(start, tmp_path):
    start(SmallDetector(3), None).train()
    runner = start(SmallDetector(5), None, load_from=str(tmp_path / 'epoch_1.pth'), resume=True)
    with pytest.raises(UserError, match=r'epoch_1.pth does not fit .*: set model.roi_head.bbox_head.num_classes to 3,'):
        runner.train()


@pytest.mark.parametrize('classes', [3, 80])
def test_semi_supervised_detector_starts_from_a_plain_one(start, classes):
    class Semi(SemiBaseDetector):
        def forward(self, inputs, data_samples=None, mode='tensor'):
            return self.student(inputs, data_samples, mode)

    model, other = Semi(dict(type=SmallDetector, num_classes=3), semi_train_cfg={}), SmallDetector(classes)
    start(model, other.state_dict()).train()
    for part in (model.student, model.teacher):
        assert equal(part.state_dict(), other.state_dict(), names_of(other, classifier=False))
        assert (part.state_dict()[f'{LAYERS[0]}.weight'] == 7).all() == (classes == 80)
    assert not [text for level, text in start.lines() if 'fits the config in part' in text]
    start(model, model.state_dict()).test()
    with pytest.raises(UserError, match=r'0 of 20 parameters'):
        start(model, {'student.x': torch.zeros(1)}).train()


def test_on_by_default(repo_dir):
    hooks = Config.fromfile(repo_dir / 'configs/_base_/default_runtime.py').default_hooks
    assert type(HOOKS.build(hooks.checkpoint_fit)) is CheckpointFitHook


@pytest.mark.parametrize(
    ('kept', 'missing'),
    [
        (('state_dict',), 'no epoch and no optimizer and no state of the Runner'),
        (('meta', 'state_dict', 'message_hub'), 'no optimizer'),
        (('state_dict', 'optimizer', 'message_hub'), 'no epoch'),
        (('meta', 'state_dict', 'optimizer'), 'no state of the Runner'),
        ((), 'no epoch and no optimizer and no state of the Runner'),
    ],
)
def test_weights_alone_are_not_resumed(start, tmp_path, kept, missing):
    start(SmallDetector(3), None).train()
    whole = torch.load(tmp_path / 'epoch_1.pth', weights_only=False)
    path = str(tmp_path / 'weights.pth')
    torch.save({name: whole[name] for name in kept} or whole['state_dict'], path)
    with pytest.raises(UserError) as error:
        start(SmallDetector(3), None, load_from=path, resume=True).train()
    assert str(error.value) == (
        f'{path} holds weights but {missing}, so no training can go on from it: start from its weights with '
        f'--cfg-options load_from={path} instead of --resume, or resume from an epoch_N.pth'
    )
    start(SmallDetector(3), None, load_from=path).train()
