"""tools/ablate.py: what it can be told, and the recipe and the data that it takes."""

import json
import subprocess
from pathlib import Path

import pytest
from mmengine.config import Config

from tests.tools.ablate_examples import RECIPE


@pytest.mark.parametrize(
    ('options', 'sentence'),
    [
        (['--tables', 'no.yml'], 'error: no file of tables no.yml'),
        (['--data', 'no.py'], 'error: no config file no.py'),
        (['--data', 'broken.py'], 'error: model in broken.py is 3: set it to a dict'),
        (['--cfg-options', 'model.stages.deep=1'], 'error: --cfg-options does not fit .*recipe.py'),
        (['--data', 'other.py'], 'error: the annotation file nowhere/truth.json does not exist'),
    ],
)
def test_mistakes_are_one_sentence(ablate, tools, options, sentence):
    Path('broken.py').write_text('train_cfg = dict(max_epochs=4)\nmodel = 3\n')
    data = "train_dataloader = dict(dataset=dict(data_root='nowhere', ann_file='truth.json'))\n"
    Path('other.py').write_text(RECIPE + data)
    with pytest.raises(SystemExit, match=sentence):
        ablate.main(['stages', '--tables', 'tables.json', '--out', 'out', *options])
    assert tools.ran == [] and not Path('out').exists()


@pytest.mark.parametrize(
    'options',
    [
        ['--seeds', '0'],
        ['--epochs', '0'],
        ['--val-interval', '0'],
        ['--launcher', 'slurm'],
        ['--partition', 'a'],
        ['--processes', '2'],
    ],
)
def test_options_that_do_not_fit(ablate, options, capsys):
    with pytest.raises(SystemExit):
        ablate.parse_args(['stages', *options])
    assert f'{options[0]} ' in capsys.readouterr().err


def test_data_of_the_quickstart_are_made_if_absent(ablate, tmp_path, monkeypatch, capfd):
    cfg = Config(dict(data_root=f'{tmp_path}/my data/'))
    tool = str(Path(ablate.__file__).parent / 'dataset/make_shapes_coco.py')
    small = ['--num-train', '2', '--num-val', '2']
    commands = []
    real = subprocess.run

    def run_small(command: list[str], **options) -> subprocess.CompletedProcess:
        commands.append(command[1:])
        return real([*command, *small], **options)

    monkeypatch.setattr(ablate.subprocess, 'run', run_small)
    stamp = ablate.make_data(cfg)
    assert json.loads(stamp)['settings']['num_train'] == 2
    files = {path: path.stat().st_mtime_ns for path in tmp_path.glob('my data/**/*')}
    assert len(list(tmp_path.glob('my data/*/*.jpg'))) == 4
    # Finished data stay, whatever settings they were made with; half of them does not.
    assert ablate.make_data(cfg) == stamp and commands == [[tool, cfg.data_root]]
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob('my data/**/*')} == files
    (tmp_path / 'my data/shapes.json').write_text(stamp.replace('true}', 'false}'))
    assert ablate.make_data(cfg) == stamp and len(commands) == 2
    (tmp_path / 'my data/shapes.json').unlink()
    with pytest.raises(ablate.UserError, match=r'make_shapes_coco.py .*" failed'):
        ablate.make_data(cfg)
    assert 'holds data that this tool did not make' in capfd.readouterr().err


def test_recipe_and_folder(ablate):
    table = ablate.find_table(Path('tables.json'), 'stages')
    own = ablate.find_recipe(ablate.parse_args(['stages']), table)
    assert own == Path('recipe.py').resolve()
    quickstart = ablate.find_recipe(ablate.parse_args(['stages', '--data', 'quickstart']), table)
    assert quickstart.name == 'sparse-rcnn_lite0_fpn_shapes.py' and quickstart.is_file()
    assert ablate.relative(quickstart) == 'configs/sparse_rcnn/sparse-rcnn_lite0_fpn_shapes.py'
    Path('other.py').write_text(RECIPE)
    Path('six.py').write_text("_base_ = 'other.py'\n")
    with pytest.raises(ablate.UserError, match=r'^the rows of stages have several recipes as _base_'):
        ablate.find_recipe(ablate.parse_args(['stages']), table)
