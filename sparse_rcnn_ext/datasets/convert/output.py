"""What a conversion leaves behind: one JSON a split, a summary, and the settings of a config that uses them."""

from pathlib import Path

from .coco_json import CocoJson


def write_splits(converted: dict[str, CocoJson], out: Path, data_root: Path, image_prefix: str) -> str:
    """Write OUT/SPLIT.json for every split; nothing else is written, and images stay where they are.

    Args:
        converted: By split.
        out: The folder for the JSONs, made if absent.
        data_root: The folder of the data set.
        image_prefix: From there to the folder that file names are relative to; '' for none.

    Returns:
        What to print: summaries, and the keys of a config's data set.
    """
    lines = []
    for split, coco in converted.items():
        path = out / f'{split}.json'
        coco.write(path)
        lines.append(f'{path}: {coco.summary()}')
    prefix = f'{image_prefix}/' if image_prefix else ''
    classes = next(iter(converted.values())).classes
    lines += [
        'In a config:',
        f'  data_root={f"{data_root.as_posix()}/"!r}, data_prefix=dict(img={prefix!r}), '
        f'ann_file={_from(data_root, out)!r}',
        f'  metainfo=dict(classes={classes!r})',
    ]
    return '\n'.join(lines)


def _from(data_root: Path, out: Path) -> str:
    """The JSONs as mmengine looks for them: below the data root, or by an absolute path."""
    out, root = out.resolve(), data_root.resolve()
    return f'{(out.relative_to(root) if out.is_relative_to(root) else out).as_posix()}/SPLIT.json'
