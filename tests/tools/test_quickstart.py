"""tools/quickstart.py: the whole way in small, and what it does when something is there already."""

import importlib.util
import json
import re
import shlex
import sys
from pathlib import Path
from types import ModuleType

import cv2
import pytest
from mmengine.config import Config

CONFIG = 'configs/sparse_rcnn/sparse-rcnn_lite0_fpn_best_shapes.py'
PLAIN = 'configs/sparse_rcnn/sparse-rcnn_lite0_fpn_shapes.py'
TABLE_LINE = re.compile(r'^ Average (?:Precision|Recall) .* = -?\d\.\d{3}$', re.MULTILINE)


@pytest.fixture(scope='module')
def tool(repo_dir: Path) -> ModuleType:
    """The tool as a module, found as Python finds it when it runs the file."""
    sys.path.insert(0, str(repo_dir / 'tools'))
    try:
        spec = importlib.util.spec_from_file_location('quickstart', repo_dir / 'tools/quickstart.py')
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(repo_dir / 'tools'))
    return module


def small_settings(config: Path) -> list[str]:
    """--cfg-options for one short epoch."""
    cfg = Config.fromfile(config)
    length = 'max_iters' if cfg.train_cfg.get('max_iters') else 'max_epochs'
    options = [f'train_cfg.{length}=1', 'model.roi_head.num_stages=2', 'model.rpn_head.num_proposals=10']
    options += ['train_dataloader.batch_size=2', 'default_hooks.logger.interval=1']
    for split in ('train', 'val', 'test'):
        if cfg.get(f'{split}_dataloader'):
            options += [f'{split}_dataloader.num_workers=0', f'{split}_dataloader.persistent_workers=False']
    return options


@pytest.mark.slow
def test_everything_and_again(repo_dir: Path, run_tool, tmp_path: Path):
    """From another folder, with an empty home and no display as all tools here; the second run trains no more."""
    options = ['--work-dir', 'my run', '--data-root', 'my data', '--num-train', 2, '--num-val', 2]
    options += ['--cfg-options', *small_settings(repo_dir / CONFIG)]
    first = run_tool('quickstart.py', *options, cwd=tmp_path)
    assert first.returncode == 0, first.stdout
    assert re.search(r'Epoch\(train\).* eta: |Iter\(train\).* eta: ', first.stdout), 'progress of the training'
    assert 'Epoch(test)' in first.stdout
    end = first.stdout.split('=== done')[1]
    assert len(TABLE_LINE.findall(end)) == 12
    assert re.search(r'AP (-?\d\.\d{3}) on the held-out images', end)[1] == TABLE_LINE.findall(end)[0][-5:]
    assert re.search(r'total +\d+ min \d\d s, \d\.\d GB', end)
    to_see = [line.strip() for line in end.split('To look at:\n')[1].splitlines() if line]
    assert to_see == ['my run/pictures/detections.png', 'my run/pictures/stages.png', 'my run/report.html']
    for name in to_see[:2]:
        assert cv2.imread(str(tmp_path / name)).shape[1] > 500
    suggested = end.split('What to try next:\n')[1].split('\n\n')[0].splitlines()
    paths = {word for line in suggested for word in shlex.split(line) if '/' in word and word != 'data/coco,'}
    assert 'my run/epoch_1.pth' in paths and 'my data/val' in paths
    assert [path for path in paths if not (tmp_path / path).exists()] == []

    kept = {
        path: path.stat().st_mtime_ns for path in [*(tmp_path / 'my run').glob('*.pth'), *tmp_path.glob('my data/*/*')]
    }
    assert len(kept) == 1 + 2 + 2 + 2
    second = run_tool('quickstart.py', *options, cwd=tmp_path)
    assert second.returncode == 0, second.stdout
    assert 'complete already' in second.stdout
    assert 'Trained already: my run/' in second.stdout
    assert '(train)' not in second.stdout
    assert TABLE_LINE.findall(second.stdout) == TABLE_LINE.findall(end)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept


class FakeTraining:
    """Stands for tools/train.py: leaves two checkpoints, or stops after the first."""

    def __init__(self, work_dir: Path) -> None:
        self.work_dir = work_dir
        self.started_with: list[set[str]] = []
        self.interrupted = False

    def __call__(self, *command: object, shown: re.Pattern) -> list[str]:
        assert command[0] == 'tools/train.py' and '--resume' in command and shown
        self.started_with.append({path.name for path in self.work_dir.iterdir()} - {'quickstart.json'})
        for epoch in (1, 2):
            (self.work_dir / f'epoch_{epoch}.pth').touch()
            # Trained elsewhere, moved since.
            (self.work_dir / 'last_checkpoint').write_text(f'/elsewhere/epoch_{epoch}.pth')
            if self.interrupted:
                raise KeyboardInterrupt
        return []


@pytest.fixture
def training(tool, tmp_path: Path, monkeypatch) -> FakeTraining:
    fake = FakeTraining(tmp_path / 'run')
    monkeypatch.setattr(tool, 'run_tool', fake)
    return fake


def train(tool: ModuleType, training: FakeTraining, lr: float = 0.1, data: str = 'data', fresh: bool = False) -> str:
    return tool.train(Config(dict(lr=lr)), Path('config.py'), training.work_dir, data, fresh).name


def test_finished_training_is_kept(tool, training, capsys):
    assert train(tool, training) == 'epoch_2.pth'
    assert train(tool, training) == 'epoch_2.pth'
    assert training.started_with == [set()]
    assert 'Trained already' in capsys.readouterr().out


@pytest.mark.parametrize('change', [dict(lr=0.2), dict(data='other data'), dict(fresh=True)], ids=str)
def test_changes_train_anew(tool, training, capsys, change: dict):
    train(tool, training)
    train(tool, training, **change)
    assert training.started_with == [set(), set()]
    reason = '--fresh was given' if 'fresh' in change else 'the settings or the data changed'
    assert f'Training anew, because {reason}.' in capsys.readouterr().out


def test_interrupted_training_goes_on(tool, training, capsys):
    training.interrupted = True
    with pytest.raises(KeyboardInterrupt):
        train(tool, training)
    training.interrupted = False
    assert train(tool, training) == 'epoch_2.pth'
    assert training.started_with[1] == {'epoch_1.pth', 'last_checkpoint'}
    assert 'goes on from' in capsys.readouterr().out
    train(tool, training)
    assert len(training.started_with) == 2


def test_interrupted_with_other_settings_starts_anew(tool, training):
    training.interrupted = True
    with pytest.raises(KeyboardInterrupt):
        train(tool, training)
    training.interrupted = False
    train(tool, training, lr=0.2)
    assert training.started_with[1] == set()


def test_lost_checkpoint_is_trained_anew(tool, training):
    train(tool, training)
    (training.work_dir / 'epoch_2.pth').unlink()
    assert train(tool, training) == 'epoch_2.pth'
    assert training.started_with[1] == set()


def test_checkpoints_of_others_are_not_touched(tool, training):
    training.work_dir.mkdir()
    mine = training.work_dir / 'mine.pth'
    mine.write_bytes(b'mine')
    with pytest.raises(tool.UserError, match='name another folder with --work-dir'):
        train(tool, training, fresh=True)
    assert mine.read_bytes() == b'mine' and not training.started_with


@pytest.mark.parametrize('recipe', [CONFIG, PLAIN])
def test_paths_of_the_data_are_moved(tool, repo_dir: Path, tmp_path: Path, recipe):
    root = f'{tmp_path}/a, b [c]'
    options = ['--config', str(repo_dir / recipe)] if recipe == PLAIN else []
    args = tool.parse_args(['--data-root', root, '--work-dir', str(tmp_path / 'run'), *options])
    cfg, path = tool.settle_config(args)
    original = Config.fromfile(repo_dir / recipe)
    loader = tool.relocate(original.train_dataloader.to_dict(), original.data_root, f'{root}/')
    for config in (cfg, Config.fromfile(path)):
        text = json.dumps(config.to_dict())
        assert original.data_root not in text.replace(root, '')
        assert config.data_root == f'{root}/'
        assert config.test_evaluator.ann_file == f'{root}/annotations/instances_val.json'
        assert config.train_dataloader == loader
        assert config.model == original.model


def test_failing_tool_is_one_sentence(tool, python, capfd, monkeypatch):
    monkeypatch.setattr(sys, 'executable', python)
    monkeypatch.setenv('TOOL_CALL', '')
    with pytest.raises(tool.UserError, match=r'"python tools/test.py no_config.py no.pth" failed with exit code 1'):
        tool.run_tool('tools/test.py', 'no_config.py', 'no.pth')
    assert 'no config file no_config.py' in capfd.readouterr().err
