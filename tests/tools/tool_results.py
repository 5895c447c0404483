"""What tools say of a config and a checkpoint, to compare."""

import json
import re
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
from mmdet.registry import MODELS

from sparse_rcnn_ext.ablation.tables import load_base, put_over
from sparse_rcnn_ext.datasets.check import check_datasets, summarise
from sparse_rcnn_ext.engine.config.run_config import load_config
from sparse_rcnn_ext.export.latency_table import build
from sparse_rcnn_ext.report.write import write_report


def read(name: str) -> Any:
    return json.loads(Path(name).read_text())


def metrics(pattern: str) -> dict[str, float]:
    """Those of COCO, and losses, in the log of a run; no times."""
    (path,) = Path().glob(pattern)
    numbers = [json.loads(line) for line in path.read_text().splitlines()]
    return {key: value for line in numbers for key, value in line.items() if 'coco/' in key or 'loss' in key}


def keep(place: SimpleNamespace, config: Path) -> dict:
    place.run('test.py', config, place.checkpoint, '--work-dir', 'w', '--out', 'out.json')
    return metrics('w/*/*.json') | {path.name: read(path.name) for path in Path().glob('out*')}


def views(place: SimpleNamespace, config: Path) -> dict:
    place.run('test.py', config, place.checkpoint, '--work-dir', 'w', '--tta', '--stages', 1, '--show-dir', 'shown')
    return metrics('w/*/*.json') | dict(pictures=sorted(path.name for path in Path('shown').iterdir()))


def predict(place: SimpleNamespace, config: Path) -> list:
    """With the config itself, and with the copy of it that a run leaves."""
    load_config(str(config), None, None).dump('copy.py')
    for name, path in (('one', config), ('two', 'copy.py')):
        place.run('predict.py', path, place.checkpoint, place.image, '--json', f'{name}.json', '--score-thr', 0)
    assert read('one.json') == read('two.json')
    return read('two.json')


def export(place: SimpleNamespace, config: Path) -> dict:
    place.run('deploy/export.py', config, place.checkpoint, '--format', 'torchscript', '--out', 'x.torchscript')
    return read('x.torchscript')


def evaluate(place: SimpleNamespace, config: Path) -> dict:
    place.capsys.readouterr()
    place.run('deploy/evaluate.py', config, place.exported)
    lines = [line.split(': ') for line in place.capsys.readouterr().out.splitlines() if 'coco/' in line]
    return {name: float(value) for name, value in lines}


def latency(place: SimpleNamespace, config: Path) -> list:
    detector, classes = build(load_config(str(config), None, None), None)
    return [classes, [(name, tuple(value.shape)) for name, value in detector.state_dict().items()]]


def check(place: SimpleNamespace, config: Path) -> tuple:
    """What is found, but for what is left out of a part; and boxes, which parts have together."""
    facts = summarise(check_datasets(load_config(str(config), None, None), ('train', 'val', 'test'), 1))
    boxes = Counter()
    for part in facts['datasets']:
        boxes[re.match(r'\w+', part['name'])[0]] += part['boxes']['kept']
        assert part['network_scale'] == (96, 64)
    found = {finding['key'] for finding in facts['findings']} - {'left out: not among indices', 'class without boxes'}
    return sorted(found), boxes, facts['num_proposals']


def flops(place: SimpleNamespace, config: Path) -> dict:
    place.capsys.readouterr()
    place.run('analysis/flops.py', config, '--json')
    return json.loads(place.capsys.readouterr().out) | dict(config='')


def stages(place: SimpleNamespace, config: Path) -> bytes:
    place.run('analysis/visualize_stages.py', config, place.checkpoint, place.image, '--out', '.', '--side', 64)
    return Path('2.png').read_bytes()


def errors(place: SimpleNamespace, config: Path) -> dict:
    place.run('analysis/analyze_errors.py', config, place.checkpoint, '--out', '.')
    facts = read('errors.json')
    return dict(ap50=facts['ap50'], lost=[kind['ap50_lost'] for kind in facts['kinds']])


def browse(place: SimpleNamespace, config: Path) -> bytes:
    place.run('analysis/browse.py', config, '--number', 1, '--side', 64, '--out', 'b.png')
    return cv2.imread('b.png')[60:].tobytes()  # below the name


def dial(place: SimpleNamespace, config: Path) -> list:
    place.run('analysis/stage_dial.py', config, place.checkpoint, '--rounds', 1, '--out', '.')
    return [(row['AP'], row['AP50']) for row in read('stage_dial.json')['rows']]


def train(place: SimpleNamespace, config: Path) -> dict:
    place.run('train.py', config, '--work-dir', 'run', '--seed', 0)
    return metrics('run/*/vis_data/scalars.json')


def report(place: SimpleNamespace, config: Path) -> list:
    Path('run').mkdir()
    load_config(str(config), None, None).dump('run/copy.py')
    seen = []
    place.monkeypatch.setattr('sparse_rcnn_ext.report.write.make_sections', lambda *args: seen.append(args[4]) or [])
    write_report(Path('run'), place.checkpoint)
    (evidence,) = seen
    return [one.stats['AP'] for one in evidence.stages]


def ablation(place: SimpleNamespace, config: Path) -> tuple:
    load_base(config, None, 6).dump('base.py')
    cfg = put_over(Path(__file__).parents[2] / 'configs/sparse_rcnn/ablations/stages-3.py', Path('base.py'))
    milestones = [scheduler.get('milestones') for scheduler in cfg.param_scheduler]
    return cfg.train_cfg.max_epochs, milestones, len(MODELS.build(cfg.model).roi_head.bbox_head)


def speed(place: SimpleNamespace, config: Path) -> list[str]:
    """The transforms that are timed."""
    place.capsys.readouterr()
    place.run('analysis/pipeline_speed.py', config, '--images', 1, '--seconds', 0)
    return sorted(re.findall(r'^([A-Z]\w+) +[0-9.]+ +[0-9]+%', place.capsys.readouterr().out, re.MULTILINE))


def twice(result: Any) -> Any:
    """What a test of two data sets gives where each is the one of the plain config."""
    if not isinstance(result, dict):
        return result
    split = {}
    for key, value in result.items():
        names = [key] if 'coco/' not in key and not key.startswith('out') else [f'one/{key}', f'two/{key}']
        split |= {re.sub(r'(\w+)/out', r'out.\1', name): value for name in names}
    return split


def rounded(result: Any) -> Any:
    """Sums of the same numbers in another order."""
    if isinstance(result, dict):
        return {key: rounded(value) for key, value in result.items()}
    if isinstance(result, (list, tuple)):
        return [rounded(value) for value in result]
    return round(result, 9) if isinstance(result, float) else result
