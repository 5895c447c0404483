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

from sparse_rcnn_ext.engine.errors import UserError

from .coco_file import load_coco, some_names

# Where each split's file may lie, below the root; the first line is what Roboflow and RF-DETR write, then COCO's own
# layout, what our conversions write when told so, and a flat folder.
_ANN_FILES = (
    '{split}/_annotations.coco.json',
    'annotations/instances_{split}2017.json',
    'annotations/instances_{split}.json',
    'annotations/{split}.json',
    'coco/{split}.json',
    '{split}.json',
)
_SPLITS = {'train': ('train',), 'val': ('val', 'valid'), 'test': ('test',)}
# Below the root too; the folder in which the file's first image lies is taken.
_IMAGE_FOLDERS = (
    '{split}',
    '{split}2017',
    'images/{split}',
    'images/{split}2017',
    'images',
    'Images',
    'JPEGImages',
    '',
)


def read(data_root: str) -> dict:
    """Find the splits of a data set and read its classes.

    Below the root lie, for SPLIT in train, val (or valid) and, where there is one, test:

    - SPLIT/_annotations.coco.json, with the images beside it (Roboflow, RF-DETR), or
    - annotations/instances_SPLIT2017.json, annotations/instances_SPLIT.json or annotations/SPLIT.json (COCO), or
    - coco/SPLIT.json or SPLIT.json,

    and the images in SPLIT, SPLIT2017, images, JPEGImages or the root itself.

    The classes are the categories of the training file, in its order. Roboflow's files have one more, named as the
    supercategory of the others: it is left out where no split has a box of it.

    Args:
        data_root: The folder.

    Returns:
        ``classes``, the names, and parts of a config: ``model`` (its num_classes), ``train_dataloader``,
        ``val_dataloader`` and ``test_dataloader`` (their data sets), ``val_evaluator`` and ``test_evaluator`` (their
        files). Without a test split, test is val.

    Raises:
        UserError: If the splits are not there, or not unmistakable, or have other classes, or the images are not there.
    """
    root = Path(data_root)
    if not root.is_dir():
        where = '' if root.is_absolute() else f' below the current folder {Path.cwd()}'
        raise UserError(f'there is no folder {data_root}{where}: set data_root to that of your data')
    files = {split: found for split in _SPLITS if (found := _find_file(root, split))}
    contents = {split: load_coco(str(root / file)) for split, (file, _) in files.items()}
    classes = _classes({str(root / files[split][0]): content for split, content in contents.items()})
    datasets = {}
    for split, (file, name) in files.items():
        datasets[split] = dict(
            data_root=f'{root.as_posix()}/',
            ann_file=file,
            data_prefix=dict(img=_find_images(root, file, name, contents[split])),
            metainfo=dict(classes=classes),
        )
    datasets.setdefault('test', datasets['val'])
    settings = {f'{split}_dataloader': dict(dataset=dataset) for split, dataset in datasets.items()}
    for split in ('val', 'test'):
        settings[f'{split}_evaluator'] = dict(ann_file=(root / datasets[split]['ann_file']).as_posix())
    model = dict(roi_head=dict(bbox_head=dict(num_classes=len(classes))))
    return dict(classes=classes, model=model, **settings)


def _find_file(root: Path, split: str) -> tuple[str, str] | None:
    """The annotation file of a split, from the root on, and what it calls the split; None: there is no test split."""
    candidates = {pattern.format(split=name): name for pattern in _ANN_FILES for name in _SPLITS[split]}
    found = [file for file in candidates if (root / file).is_file()]
    if len(found) > 1:
        raise UserError(f'{root} has {len(found)} files for {split}, {", ".join(found)}: keep one of them there')
    if found:
        return found[0], candidates[found[0]]
    if split == 'test':
        return None
    advice = 'put one there' if split == 'train' else 'set images aside for it, a fifth perhaps, and list them there'
    raise UserError(f'{root} has no annotation file for {split}; looked for {", ".join(candidates)}: {advice}')


def _find_images(root: Path, file: str, name: str, content: dict) -> str:
    """The folder that file names are relative to, from the root on."""
    if not content['images']:
        raise UserError(f'{root / file} lists no images: write the annotations anew')
    first = content['images'][0]['file_name']
    folders = [pattern.format(split=name) for pattern in _IMAGE_FOLDERS]
    for folder in folders:
        if (root / folder / first).is_file():
            return f'{folder}/' if folder else ''
    listed = ', '.join(folder or 'the folder itself' for folder in folders)
    raise UserError(f'{root} has no image {first}, the first in {file}; looked into {listed}: put the images there')


def _classes(contents: dict[str, dict]) -> tuple[str, ...]:
    """The classes of the first file, which is that of training; the others must have the same."""
    with_boxes = set()
    for content in contents.values():
        names_by_id = {category['id']: category['name'] for category in content['categories']}
        with_boxes |= {names_by_id.get(annotation['category_id']) for annotation in content['annotations']}
    names = {}
    for path, content in contents.items():
        pairs = [(category['name'], category.get('supercategory')) for category in content['categories']]
        parents = {parent for name, parent in pairs if parent != name}
        names[path] = [name for name, _ in pairs if name in with_boxes or name not in parents]
    first, *others = names
    for path in others:
        if set(names[path]) != set(names[first]):
            raise UserError(
                f'{first} has the categories {some_names(names[first])} and {path} {some_names(names[path])}: '
                'list the same ones in both'
            )
    if not names[first]:
        raise UserError(f'{first} has no categories: list those of its annotations')
    return tuple(names[first])
