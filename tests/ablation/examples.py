"""Tables, rows and results for tests."""

from pathlib import Path

from sparse_rcnn_ext.ablation import Experiment, Outcome, Result, Row, Table


def cost(scale: float = 1.0) -> dict:
    """What tools/analysis/flops.py says, in short."""
    return dict(
        parameters=round(6_540_000 * scale),
        flops=round(530_000_000 * scale),
        latency_seconds=0.0312 * scale,
        size=[160, 200],
        device='A CPU, 2 threads',
    )


def outcome(name: str, aps: list[float], paper_ap: float | None = 40.0, **changes) -> Outcome:
    """A row that was trained with as many seeds as there are values."""
    row = Row(name, Path('rows', f'{name}.py'), paper_ap, False)
    results = [
        Result(seed, ap, 100.0 * (seed + 1), {'coco/bbox_mAP': ap / 100}, 0.114 + 0.01 * seed)
        for seed, ap in enumerate(aps)
    ]
    return Outcome(row, False, results, cost(), [])._replace(**changes)


def experiment(outcomes: list[Outcome], seeds: int, **changes) -> Experiment:
    """What the rows were run with."""
    table = Table('stages', 'Number of stages', 'https://example.org/paper', [outcome.row for outcome in outcomes])
    return Experiment(table, 'configs/small.py', True, '3 epochs', list(range(seeds)))._replace(**changes)
