"""tools/analysis/pipeline_speed.py on a few real images."""

import re

from tests.configs.recipe_640 import RECIPE

TOOL = 'analysis/pipeline_speed.py'


def test_recipe_against_the_plain_composition(run_tool, tmp_path, shared_dir):
    options = [f'data_root={shared_dir}/data/coco_mini/', 'long_side=64', 'debug=6']
    done = run_tool(
        TOOL,
        RECIPE,
        *('--images', 3, '--seconds', 0, '--against', 'plain', '--profile', '--cfg-options', *options),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout
    number = r'\s+(\d+\.\d+)'
    for name in ('whole recipe', 'mosaic only', 'no mosaic'):
        row = re.search(rf'{name}{number}{number}{number} ×  \({number[3:]} to{number}\)  in 3 rounds', done.stdout)
        assert row, done.stdout
        ours, plain, ratio, least, most = map(float, row.groups())
        assert abs(ratio - ours / plain) < 0.02 + 0.1 / plain * ratio and least <= most
        assert f'config, {name}: milliseconds' in done.stdout and f'plain, {name}: milliseconds' in done.stdout
    assert re.search(rf'MosaicAndWarp{number}\s+\d+%', done.stdout)
    assert 'OpenCV: ' in done.stdout and 'torch ' in done.stdout
    assert 'tottime' in done.stdout


def test_against_another_config(run_tool, tmp_path, tiny_config):
    done = run_tool(TOOL, tiny_config, '--images', 2, '--seconds', 0, '--against', tiny_config, cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    assert re.search(r'whole recipe.*×', done.stdout) and 'mosaic' not in done.stdout


def test_wrong_arguments(run_tool, tmp_path, tiny_config):
    for arguments, sentence in (
        (('--images', 0), '--images must be at least 1'),
        (('--against', 'plain'), 'the plain composition is that of the 640-pixel recipe'),
        (('--against', 'none.py'), 'no config file none.py'),
    ):
        done = run_tool(TOOL, tiny_config, *arguments, cwd=tmp_path)
        assert done.returncode != 0 and sentence in done.stdout and 'Traceback' not in done.stdout
