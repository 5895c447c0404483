"""Mutated --cfg-options and config files: each starts a run, or ends in one sentence; none in a traceback or a hang."""

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmdet.visualization import DetLocalVisualizer
from mmengine.config import Config
from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

from sparse_rcnn_ext.engine.config.arguments import exit_on_user_error
from sparse_rcnn_ext.engine.config.paths import check_data_paths
from sparse_rcnn_ext.engine.config.run_config import choose_checkpoint, load_config
from tests.fuzz.conftest import TIMES, HangError

VALUES = [None, True, -3, 0, 2, 0.5, -1.0, float('nan'), float('inf'), '', 'x', 'ResNet', [], [1, 'a'], {}, {'a': 1}]


@pytest.fixture(scope='module')
def recipe(repo_dir, tmp_path_factory) -> Path:
    """A config of a tiny model and two images."""
    folder = tmp_path_factory.mktemp('fuzz')
    cv2.imwrite(str(folder / 'a.png'), np.zeros((40, 60, 3), np.uint8))
    truth = dict(
        images=[dict(id=number, file_name='a.png', width=60, height=40) for number in (1, 2)],
        categories=[dict(id=1, name='cat'), dict(id=2, name='dog')],
        annotations=[
            dict(id=number, image_id=number, category_id=number, bbox=[5, 5, 20, 20], area=400, iscrowd=0)
            for number in (1, 2)
        ],
    )
    (folder / 'truth.json').write_text(json.dumps(truth))
    cfg = Config.fromfile(repo_dir / 'configs/sparse_rcnn/sparse-rcnn_r50_fpn_1x_coco.py')
    cfg.merge_from_dict(
        {
            'model.backbone.depth': 18,
            'model.backbone.base_channels': 8,
            'model.backbone.stem_channels': 8,
            'model.backbone.init_cfg': None,
            'model.neck.in_channels': [8, 16, 32, 64],
            'model.neck.out_channels': 16,
            'model.rpn_head.num_proposals': 5,
            'model.rpn_head.proposal_feature_channel': 16,
            'model.roi_head.num_stages': 1,
            'model.roi_head.bbox_head.num_classes': 2,
            'model.roi_head.bbox_head.in_channels': 16,
            'model.roi_head.bbox_head.feedforward_channels': 16,
            'model.roi_head.bbox_head.num_heads': 2,
            'model.roi_head.bbox_head.dynamic_conv_cfg.feat_channels': 4,
            'train_cfg.max_epochs': 1,
            'work_dir': str(folder / 'run'),
        }
    )
    for split in ('train', 'val', 'test'):
        loader = cfg[f'{split}_dataloader']
        loader.update(num_workers=0, persistent_workers=False)
        loader.dataset.update(
            data_root=str(folder),
            ann_file='truth.json',
            data_prefix=dict(img=''),
            metainfo=dict(classes=('cat', 'dog')),
        )
        if split != 'train':
            cfg[f'{split}_evaluator'].ann_file = str(folder / 'truth.json')
    cfg.dump(folder / 'recipe.py')
    return folder / 'recipe.py'


def settings(node: object, prefix: str = '') -> Iterator[tuple[str, object]]:
    """The dotted names and the values of all settings below ``node``."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, (list, tuple)) else ()
    for key, value in items:
        yield f'{prefix}{key}', value
        yield from settings(value, f'{prefix}{key}.')


def misspell(word: str, chance: random.Random) -> str:
    place = chance.randrange(len(word) + 1)
    letter = chance.choice('abez_0')
    return chance.choice(
        [word[:place] + letter + word[place:], word[:place] + word[place + 1 :], word[::-1], word.upper(), letter]
    )


def mutate_options(cfg: dict, chance: random.Random) -> dict[str, object]:
    """One or two options: a known or a misspelt name, and the value that it has or one of any kind."""
    known = list(settings(cfg))
    options = {}
    for _ in range(chance.randint(1, 2)):
        name, own = chance.choice(known)
        steps = name.split('.')
        what = chance.randrange(3)
        if what == 1:
            place = chance.randrange(len(steps))
            steps[place] = misspell(steps[place], chance) or 'x'
        elif what == 2 and chance.random() < 0.5:
            steps.append(chance.choice(['0', '9', 'type', 'new']))
        options['.'.join(steps)] = own if chance.random() < 0.25 else chance.choice(VALUES)
    return options


def mutate_text(text: str, chance: random.Random) -> str:
    """Cut off, a line left out or twice, a letter changed, or a word misspelt."""
    lines = text.splitlines(keepends=True)
    line = chance.randrange(len(lines))
    what = chance.randrange(5)
    if what == 0:
        return text[: chance.randrange(len(text))]
    if what == 1:
        return ''.join(lines[:line] + lines[line + 1 :])
    if what == 2:
        return ''.join(lines[: line + 1] + lines[line:])
    if what == 3:
        place = chance.randrange(len(text))
        return text[:place] + chance.choice('()[]{}=,\'"#x1\n') + text[place + 1 :]
    words = lines[line].split('=')
    words[0] = misspell(words[0].rstrip(), chance)
    return ''.join([*lines[:line], '='.join(words), *lines[line + 1 :]])


def start(path: Path, options: dict | None) -> str | None:
    """What a training does before its first iteration, whose images it loads; the sentence it ended in, or None."""
    for kind in (MMLogger, MessageHub, DetLocalVisualizer):
        kind._instance_dict.clear()
    try:
        with exit_on_user_error():
            cfg = load_config(str(path), options, str(path.parent / 'run'))
            choose_checkpoint(cfg, None)
            check_data_paths(cfg, ('train', 'val'))
            cfg.log_level = 'ERROR'
            cfg.launcher = 'none'
            runner = Runner.from_cfg(cfg)
            if runner._train_loop is not None:
                runner._train_loop = runner.build_train_loop(runner._train_loop)
                runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
                if runner.param_schedulers is not None:
                    runner.param_schedulers = runner.build_param_scheduler(runner.param_schedulers)
            if runner._val_loop is not None:
                runner._val_loop = runner.build_val_loop(runner._val_loop)
            for loop in (runner._train_loop, runner._val_loop):
                if loop is not None:
                    next(iter(loop.dataloader), None)
    except SystemExit as end:
        return str(end.code)
    finally:
        init_default_scope('mmdet')
    return None


def check_cases(recipe: Path, no_hang: Callable[[], None], seed: int, count: int) -> None:
    """Every case ends in a start or in a sentence, within seconds; of both there are some."""
    chance = random.Random(seed)
    text = recipe.read_text()
    cfg = Config.fromfile(recipe).to_dict()
    del cfg['work_dir']
    started = 0
    for number in range(count):
        options, path = None, recipe
        if number % 3:
            options = mutate_options(cfg, chance)
        else:
            path = recipe.with_name('mutated.py')
            path.write_text(mutate_text(text, chance))
        no_hang()
        try:
            sentence = start(path, options)
        except (Exception, HangError) as error:
            case = options if options else path.read_text()
            raise AssertionError(f'case {number} of seed {seed}: {case}') from error
        if sentence is None:
            started += 1
        else:
            assert sentence.startswith('error: '), sentence
            assert '\n' not in sentence and 'Traceback' not in sentence, sentence
    print(f'configs: {started} started, {count - started} refused')
    assert count / 20 < started < count * 9 / 10


def test_the_recipe_itself_starts(recipe):
    assert start(recipe, None) is None


def test_some_mutations(recipe, no_hang):
    check_cases(recipe, no_hang, seed=0, count=60 * TIMES)
