"""Which images are held out stands in the run's folder."""

import pytest
from mmengine.dataset import pseudo_collate
from torch.utils.data import DataLoader

from sparse_rcnn_ext.engine.hooks import HeldOutHook
from tests.engine.hooks.small_runner import Names, SmallDetector, make_runner


class Part(Names):
    """Two images, as a CocoDataset with ``held_out`` has them."""

    def __init__(self, held_out: dict | None) -> None:
        super().__init__(('cat', 'dog'))
        self.held_out = held_out

    def held_out_names(self) -> list[str]:
        return ['cam 1/b.jpg', '鳥.jpg']


@pytest.mark.parametrize('held_out', [dict(part='val', val_fraction=0.2, split_seed=0), None])
def test_written_where_something_is_held_out(tmp_path, held_out):
    loader = DataLoader(Part(held_out), collate_fn=pseudo_collate)
    make_runner(tmp_path, [HeldOutHook()], SmallDetector(2), val_dataloader=loader).train()
    path = tmp_path / 'held_out.txt'
    assert path.is_file() == (held_out is not None)
    assert held_out is None or path.read_text(encoding='utf-8') == 'cam 1/b.jpg\n鳥.jpg\n'


def test_without_validation(tmp_path):
    settings = dict(val_dataloader=None, val_evaluator=None, val_cfg=None)
    make_runner(tmp_path, [HeldOutHook()], SmallDetector(2), **settings).train()
    assert not (tmp_path / 'held_out.txt').exists()
