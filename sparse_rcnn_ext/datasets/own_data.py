"""Your own data: give its folder, and the settings of a config are read from what lies in it.

A config of yours becomes one for your data with these lines, where the base is any of our recipes for COCO::

    _base_ = './sparse-rcnn_r50_fpn_1x_coco.py'

    from sparse_rcnn_ext.datasets import own_data

    own = own_data.read('data/mine/')
    model, train_dataloader = own['model'], own['train_dataloader']
    val_dataloader, val_evaluator = own['val_dataloader'], own['val_evaluator']
    test_dataloader, test_evaluator = own['test_dataloader'], own['test_evaluator']

The import has to follow ``_base_``: before it, mmengine would take the file for another kind of config.
"""

from pathlib import Path

from sparse_rcnn_ext.errors import UserError

from .coco_file import check_fraction, load_coco, part_of, some_names
from .own_files import SPLITS, find_file, find_images, find_whole_file, require_inside


def read(data_root: str, val_fraction: float | None = None, split_seed: int = 0, allow_outside: bool = False) -> dict:
    """Find the splits of a data set and read its classes.

    Below the root lie, for SPLIT in train, val (or valid) and, where there is one, test:

    - SPLIT/_annotations.coco.json, with the images beside it (Roboflow, RF-DETR), or
    - annotations/instances_SPLIT2017.json, annotations/instances_SPLIT.json or annotations/SPLIT.json (COCO), or
    - SPLIT/labels.json (FiftyOne), SPLIT/result.json (Label Studio), SPLIT/annotations/*.json (Supervisely), or
    - coco/SPLIT.json or SPLIT.json,

    and the images in SPLIT, SPLIT2017, a folder images, data or img, JPEGImages, the root itself, or where they say.

    The classes are the categories of the training file, in its order. Roboflow's files have one more, named as the
    supercategory of the others: it is left out where no split has a box of it. Other splits may lack classes.

    With ``val_fraction`` there is one file for all images instead, called as that of train, or as CVAT
    (annotations/instances_default.json), FiftyOne (labels.json), Label Studio (result.json) or our conversions
    (all.json) call it: see :func:`~sparse_rcnn_ext.datasets.coco_file.part_of` for what it holds out.

    Args:
        data_root: The folder.
        val_fraction: Share of the images that is held out for validation; None: it has a file of its own.
        split_seed: Another one holds out other images.
        allow_outside: Whether the files may name images outside of the folder, such as by absolute paths.

    Returns:
        ``classes``, the names, and parts of a config: ``model`` (its num_classes), ``train_dataloader``,
        ``val_dataloader`` and ``test_dataloader`` (their data sets), ``val_evaluator`` and ``test_evaluator`` (their
        files). Without a test split, test is val.

    Raises:
        UserError: If the splits are not there, or not unmistakable, or have other classes, or the images are not there,
            or outside.
    """
    root = Path(data_root)
    if not root.is_dir():
        where = '' if root.is_absolute() else f' below the current folder {Path.cwd()}'
        raise UserError(f'there is no folder {data_root}{where}: set data_root to that of your data')
    if val_fraction is None:
        files = {split: found for split in SPLITS if (found := find_file(root, split))}
    else:
        check_fraction(val_fraction, split_seed)
        whole = find_whole_file(root)
        files = dict(train=whole, val=whole)
        if test := find_file(root, 'test'):
            files['test'] = test
    contents = {
        split: load_coco(str(root / file), may_lack_annotations=split == 'test') for split, (file, _) in files.items()
    }
    classes = _classes({str(root / files[split][0]): content for split, content in contents.items()})
    datasets = {}
    for split, (file, name) in files.items():
        images = find_images(root, file, name, contents[split])
        if not allow_outside:
            require_inside(root, file, images, contents[split])
        dataset = datasets[split] = dict(
            data_root=f'{root.as_posix()}/',
            ann_file=file,
            data_prefix=dict(img=images.prefix),
            metainfo=dict(classes=classes),
        )
        if images.base_names:
            dataset.update(type='sparse_rcnn_ext.CocoDataset', base_names=True)
        if val_fraction is not None and split != 'test':
            held_out = dict(part=split, val_fraction=val_fraction, split_seed=split_seed)
            part_of(contents[split]['images'], **held_out)  # or it would be noticed in the middle of a start
            dataset.update(type='sparse_rcnn_ext.CocoDataset', held_out=held_out)
    datasets.setdefault('test', datasets['val'])
    settings = {f'{split}_dataloader': dict(dataset=dataset) for split, dataset in datasets.items()}
    for split in ('val', 'test'):
        evaluator = settings[f'{split}_evaluator'] = dict(ann_file=(root / datasets[split]['ann_file']).as_posix())
        if 'held_out' in datasets[split]:
            evaluator.update(type='sparse_rcnn_ext.CocoMetric', held_out=datasets[split]['held_out'])
    model = dict(roi_head=dict(bbox_head=dict(num_classes=len(classes))))
    return dict(classes=classes, model=model, **settings)


def _classes(contents: dict[str, dict]) -> tuple[str, ...]:
    """The classes of the first file, which is that of training; the others may have fewer."""
    with_boxes = {}
    for path, content in contents.items():
        names_by_id = {category['id']: category['name'] for category in content['categories']}
        with_boxes[path] = {names_by_id.get(annotation['category_id']) for annotation in content['annotations']}
    used = set().union(*with_boxes.values())
    names = {}
    for path, content in contents.items():
        pairs = [(category['name'], category.get('supercategory')) for category in content['categories']]
        parents = {parent for name, parent in pairs if parent != name}
        names[path] = [name for name, _ in pairs if name in used or name not in parents]
    first, *others = names
    for path in others:
        if unknown := [name for name in names[path] if name in with_boxes[path] and name not in names[first]]:
            raise UserError(
                f'{path} has objects of {some_names(unknown)}, and {first} the categories {some_names(names[first])}: '
                'list them there too, with objects to learn from'
            )
    if not names[first]:
        raise UserError(f'{first} has no categories: list those of its annotations')
    return tuple(names[first])
