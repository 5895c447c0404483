"""Knobs are turned before the config is evaluated."""

from pathlib import Path

import pytest
from mmdet.models import GIoULoss, L1Loss
from mmengine.config import Config

from sparse_rcnn_ext.engine.config.knobs import load_with_knobs
from sparse_rcnn_ext.engine.config.run_config import load_config
from sparse_rcnn_ext.errors import UserError

CONFIGS = Path(__file__).resolve().parents[3] / 'configs'
BASE = """
size = 4  # ä, two bytes in the file
names = (
    'cat',
    'dog',
)
root = ('data/'
        'mine')
rate, steps = 0.1, [1, 2]
model = dict(type='Base', size=(size, size), count=len(names))
data = dict(root=root + '/train', rate=rate)
derived = size * 2
twice = 1
twice = 2
table = {'a': 1}
home = '{{ fileDirname }}'
if size > 100:
    model['huge'] = True
"""


@pytest.fixture
def write(tmp_path):
    """``write(name, text)`` gives the path of a config file."""

    def run(name: str, text: str) -> str:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding='utf-8')
        return str(path)

    return run


@pytest.fixture
def base(write) -> str:
    return write('base.py', BASE)


def as_dict(cfg: Config) -> dict:
    return {name: cfg[name] for name in cfg}


def test_derived_settings_follow(base):
    cfg, found = load_with_knobs(base, {'size': 200, 'names': ['owl'], 'root': 'C:\\new "x"'})
    assert found == {'size', 'names', 'root'}
    assert cfg.model == dict(type='Base', size=(200, 200), count=1, huge=True)
    assert cfg.data.root == 'C:\\new "x"/train'
    assert (cfg.size, cfg.derived) == (200, 400)


@pytest.mark.parametrize('value', [None, True, -3, 2.5e-5, 'text', ('a', 1), [1, [2, None]]])
def test_values_arrive_as_they_are(write, value):
    path = write('one.py', 'knob = 1\nseen = dict(knob=knob, type_=type(knob).__name__)\n')
    cfg, _ = load_with_knobs(path, {'knob': value})
    assert cfg.seen == dict(knob=value, type_=type(value).__name__)


def test_what_is_no_knob_is_passed_over(base):
    """Calls, expressions, dicts, several names at once, what is set twice, what mmengine fills in, unknown names."""
    names = ('model', 'derived', 'table', 'rate', 'twice', 'home', 'unknown')
    cfg, found = load_with_knobs(base, dict.fromkeys(names, 9))
    assert found == set()
    assert as_dict(cfg) == as_dict(Config.fromfile(base))


def test_filename_stays(base):
    cfg, _ = load_with_knobs(base, {'size': 5})
    assert cfg.filename == base
    assert Config.fromstring(cfg.pretty_text, '.py').model == cfg.model
    assert cfg.home == str(Path(base).parent)


def test_knobs_of_a_base(write, base):
    path = write('deeper/child.py', "_base_ = '../base.py'\nmodel = dict(depth=1)\n")
    cfg, found = load_with_knobs(path, {'size': 5})
    assert found == {'size'}
    assert cfg.model == dict(type='Base', size=(5, 5), count=2, depth=1)
    assert cfg.home == str(Path(base).parent)


def test_a_child_turns_its_base(write, base):
    path = write('child.py', "_base_ = ['base.py']\nsize = 6\nnames = ('owl',)\n")
    cfg, _ = load_with_knobs(path, {})
    assert cfg.model == dict(type='Base', size=(6, 6), count=1)
    assert cfg.filename == path
    cfg, found = load_with_knobs(path, {'size': 7})
    assert (cfg.model.size, cfg.model['count'], found) == ((7, 7), 1, {'size'})


def test_over_two_generations(write, base):
    write('middle.py', "_base_ = 'base.py'\nsize = 6\nwide = size + 1\n")
    path = write('child.py', "_base_ = './middle.py'\nsize = 8\n")
    cfg, _ = load_with_knobs(path, {})
    assert (cfg.size, cfg.wide, cfg.model.size) == (8, 9, (8, 8))


def test_bases_of_equal_names(write):
    write('a/same.py', 'left = 1\nleft_twice = left * 2\n')
    write('b/same.py', 'right = 1\nright_twice = right * 2\n')
    path = write('c/same.py', "_base_ = ['../a/same.py', '../b/same.py']\n")
    cfg, found = load_with_knobs(path, {'left': 5, 'right': 7})
    assert (cfg.left_twice, cfg.right_twice, found) == (10, 14, {'left', 'right'})


def test_what_a_child_computes_is_not_turned_below(write, base):
    """Its value would win in the end, so the option has to be merged as mmengine does."""
    path = write('child.py', "_base_ = 'base.py'\nsize = len('abc')\n")
    cfg, found = load_with_knobs(path, {'size': 9})
    assert (found, cfg.size, cfg.model.size) == (set(), 3, (4, 4))


def test_base_variables(write, base):
    path = write('child.py', "_base_ = 'base.py'\nsize = 5\nother = dict(model={{_base_.model}})\n")
    assert load_with_knobs(path, {})[0].other.model.size == (5, 5)


def test_scoped_bases_stay(write):
    pytest.importorskip('mmdet')
    base = 'mmdet::_base_/schedules/schedule_1x.py'
    path = write('child.py', f'_base_ = {base!r}\nrate = 0.5\noptim_wrapper = dict(optimizer=dict(lr=rate))\n')
    try:
        Config.fromfile(path)
    except (FileNotFoundError, OSError) as error:
        pytest.skip(f'this mmdet was installed without its configs: {error}')
    assert load_with_knobs(path, {'rate': 0.25})[0].optim_wrapper.optimizer.lr == 0.25


@pytest.mark.parametrize(
    ('name', 'text'),
    [
        ('config.json', '{"size": 3}'),
        ('computed.py', "_base_ = 'oth' + 'er.py'\nsize = 3\n"),
    ],
)
def test_other_kinds_of_configs_are_left_to_mmengine(write, name, text):
    write('other.py', 'other = 1\n')
    path = write(name, text)
    cfg, found = load_with_knobs(path, {'size': 4, 'other': 5})
    assert (cfg.size, found) == (3, set())


def test_broken_file_is_told_by_mmengine(write):
    with pytest.raises(SyntaxError):
        load_with_knobs(write('broken.py', 'size = = 3\n'), {'size': 4})


RECIPES = [path for path in sorted((CONFIGS / 'sparse_rcnn').rglob('*.py')) if 'own-data' not in path.name]


@pytest.mark.parametrize('path', RECIPES, ids=lambda path: path.stem)
def test_our_recipes_mean_the_same_to_any_runner(path):
    """None of them relies on turning its base, which only the tools do."""
    cfg, _ = load_with_knobs(str(path), {})
    assert as_dict(cfg) == as_dict(Config.fromfile(path))


def test_the_640_recipe():
    path = str(CONFIGS / 'sparse_rcnn/sparse-rcnn_r50_fpn_128-proposals_640-3x_coco.py')
    values = dict(long_side=512, max_epochs=12, base_lr=1e-4, data_root='elsewhere', load_from='start.pth')
    cfg, found = load_with_knobs(path, values)
    assert found == values.keys()
    assert cfg.train_cfg.max_epochs == 12
    assert cfg.param_scheduler[1].milestones == [9, 11]
    assert cfg.optim_wrapper.optimizer.lr == 1e-4
    assert cfg.train_dataloader.dataset.data_root == cfg.test_dataloader.dataset.data_root == 'elsewhere'
    assert cfg.test_evaluator.ann_file == 'elsewhere/annotations/instances_val2017.json'
    assert cfg.load_from == 'start.pth'
    (resize,) = [step for step in cfg.test_pipeline if step.type == 'Resize']
    assert resize.scale == (512, 512)


PURE = """
from mmengine.config import read_base
from mmdet.models import L1Loss

with read_base():
    from .parts.sizes import *

model = dict(type=L1Loss, size=(size, size))
own = 3
model.update(own=own)
"""


@pytest.fixture
def pure(write) -> str:
    """A config in pure Python; ``size`` stands in a base of its base, which lies in another folder."""
    write('parts/sizes.py', 'from mmengine.config import read_base\nwith read_base():\n    from ..size import *\n')
    write('size.py', 'from mmdet.models import GIoULoss\nsize = 4\nhalf = size // 2\nloss = dict(type=GIoULoss)\n')
    return write('pure.py', PURE)


def test_pure_python(pure, tmp_path):
    cfg, found = load_with_knobs(pure, {'size': 6, 'own': 5, 'half': 1, 'nothing': 1})
    assert found == {'size', 'own'} and cfg.filename == pure
    assert (cfg.model.size, cfg.model.own, cfg.half) == ((6, 6), 5, 3)
    assert (cfg.model.type, cfg.loss.type) == (L1Loss, GIoULoss)
    # What it imports is none of its settings.
    cfg.dump(tmp_path / 'copy.py')
    copy = Config.fromfile(tmp_path / 'copy.py')
    assert set(copy) == {'size', 'half', 'loss', 'model', 'own'} and copy.model.size == (6, 6)


def test_pure_python_as_it_is(pure):
    for values in ({}, {'model.size': 7}):
        cfg, found = load_with_knobs(pure, values)
        assert not found and cfg.model.size == (4, 4) and cfg.filename == pure


def test_what_has_done_its_work_is_refused(pure):
    with pytest.raises(UserError) as error:
        load_config(pure, {'half': 1}, None)
    assert str(error.value) == (
        f'--cfg-options half: when options are merged into {pure}, half has done its work: name the setting that was '
        'made of it, such as train_dataloader.dataset.pipeline'
    )
