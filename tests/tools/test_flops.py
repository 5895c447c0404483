"""tools/analysis/flops.py, run as a user runs it."""

import json
import re

import pytest


@pytest.fixture(scope='module')
def counted(tiny_config, run_tool, tmp_path_factory) -> dict:
    folder = tmp_path_factory.mktemp('counted')
    result = run_tool('analysis/flops.py', tiny_config, '--latency', '--json', cwd=folder)
    assert result.returncode == 0, result.stdout
    assert not list(folder.iterdir())
    return json.JSONDecoder().raw_decode(result.stdout[result.stdout.index('{\n') :])[0]


def test_json(counted, tiny_config):
    # The scale is (160, 96), and the sides are multiples of 32 already.
    assert counted['size'] == counted['padded_size'] == [96, 160]
    assert counted['config'] == str(tiny_config)
    assert counted['flops'] == sum(part['flops'] for part in counted['parts'] if part['level'] == 0)
    assert counted['flops'] > 1e6 and counted['parameters'] > counted['trainable'] > 0
    # 2 stages, 40 proposals, 32 channels, 8 between the dynamic convolutions.
    flops = {part['name']: part['flops'] for part in counted['parts']}
    assert flops['filters on RoIs'] == 2 * 40 * 49 * 2 * 32 * 8
    assert flops['filters from proposals'] == 2 * 40 * 32 * 2 * 32 * 8
    assert 0 < counted['latency_seconds'] < 10 and 'thread' in counted['device']
    assert 'aten::layer_norm' in counted['uncounted'] and 'aten::bmm' not in counted['uncounted']


def test_table_for_another_shape(counted, tiny_config, run_tool, tmp_path):
    options = ['--shape', 97, 160, '--cfg-options', 'model.rpn_head.num_proposals=80']
    result = run_tool('analysis/flops.py', tiny_config, *options, cwd=tmp_path)
    assert result.returncode == 0, result.stdout
    assert 'One image of 97 × 160, padded to 128 × 160 pixels.' in result.stdout
    rows = {line[:32].strip(): line[32:].split() for line in result.stdout.splitlines() if line.endswith(' G')}
    assert list(rows) == [part['name'] for part in counted['parts']] + ['all']
    (twice,) = [2 * part['flops'] / 1e9 for part in counted['parts'] if part['name'] == 'filters on RoIs']
    assert float(rows['filters on RoIs'][2]) == pytest.approx(twice, abs=5e-4)
    assert rows['all'][0] == f'{(counted["parameters"] + 40 * (4 + 32)) / 1e6:.2f}'
    assert ' ms ' not in result.stdout and 'init_weights' not in result.stdout


def test_latency_against_another(tiny_config, run_tool, tmp_path):
    twelve = tmp_path / 'twelve.py'
    twelve.write_text(f'_base_ = {str(tiny_config)!r}\nmodel = dict(roi_head=dict(num_stages=12))\n')
    result = run_tool('analysis/flops.py', tiny_config, '--latency', '--against', twelve, cwd=tmp_path)
    assert result.returncode == 0, result.stdout
    (share,) = re.findall(rf'^It takes ([\d.]+) of the time of {twelve}: ', result.stdout, re.MULTILINE)
    # 2 stages, and the same backbone.
    assert 2 / 12 < float(share) < 0.8
    result = run_tool('analysis/flops.py', tiny_config, '--against', twelve, cwd=tmp_path)
    assert result.returncode == 2 and '--against needs --latency' in result.stdout


def test_another_detector_is_one_sentence(run_tool, tmp_path):
    config = tmp_path / 'other.py'
    config.write_text(
        "default_scope = 'mmdet'\ncustom_imports = dict(imports=['sparse_rcnn_ext'])\n"
        "model = dict(type='RPNHead', num_classes=1, in_channels=4, feat_channels=4)\n"
    )
    result = run_tool('analysis/flops.py', config, '--shape', 64, 64, cwd=tmp_path)
    assert result.returncode == 1
    assert f'error: {config} is a RPNHead: parts are counted of models of type sparse_rcnn_ext.SparseRCNN' in (
        result.stdout
    )
    assert 'Traceback' not in result.stdout
