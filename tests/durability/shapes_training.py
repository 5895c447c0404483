"""The plain shapes model on a few of its generated images, small."""

from pathlib import Path

from mmengine.config import Config

REPO = Path(__file__).resolve().parents[2]
RECIPE = REPO / 'configs/sparse_rcnn/sparse-rcnn_lite0_fpn_shapes.py'


def shapes_config(data: Path, size: int, **settings: object) -> Config:
    """The plain shapes recipe for images of ``size`` pixels, on all of ``data``, tested on what it was trained on.

    Args:
        data: From tools/dataset/make_shapes_coco.py.
        size: Of the longer side.
        settings: Dotted names of other settings, with ``__`` for dots.
    """
    cfg = Config.fromfile(RECIPE)
    annotations = 'annotations/instances_train.json'
    for split in ('train', 'val', 'test'):
        loader = cfg[f'{split}_dataloader']
        loader.update(num_workers=0, persistent_workers=False)
        loader.dataset.update(data_root=f'{data}/', ann_file=annotations, data_prefix=dict(img='train/'))
        for transform in loader.dataset.pipeline:
            if transform['type'] == 'Resize':
                transform['scale'] = (size, size)
    for split in ('val', 'test'):
        cfg[f'{split}_evaluator'].ann_file = f'{data}/{annotations}'
    cfg.default_hooks.report.enabled = False
    cfg.merge_from_dict({name.replace('__', '.'): value for name, value in settings.items()})
    return cfg
