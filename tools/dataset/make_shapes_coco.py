#!/usr/bin/env python
"""Make a detection data set in COCO format: shapes with random surfaces on the photographs that scikit-image bundles.

    python tools/dataset/make_shapes_coco.py OUT

writes ``OUT/train/*.jpg``, ``OUT/val/*.jpg`` and ``OUT/annotations/instances_{train,val}.json``. No photograph serves
both splits, so a detector is measured on backgrounds and surfaces that it has not seen. The same settings give the same
bytes, and finished data with the same settings are used again.
"""

import argparse
import hashlib
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
from shape_scenes import make_scene
from shapes import CLASSES
from skimage import data
from tqdm import tqdm

PHOTOS = dict(
    train=('astronaut', 'brick', 'coffee', 'grass', 'hubble_deep_field', 'moon', 'rocket', 'stereo_motorcycle'),
    val=('camera', 'chelsea', 'gravel', 'immunohistochemistry'),
)
STAMP = 'shapes.json'
EMPTY_SHARE = 0.04
CROWD_SHARE = 0.005
JPEG_QUALITY = 92
MIN_SIZE = 160  # below that a COCO-large object leaves no room for others


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('out', type=Path, metavar='OUT', help='folder to write to, made if absent')
    parser.add_argument('--num-train', type=int, default=1200, metavar='N', help='training images (default: 1200)')
    parser.add_argument('--num-val', type=int, default=200, metavar='N', help='validation images (default: 200)')
    parser.add_argument('--size', type=int, default=256, metavar='PIXELS', help='side of the images (default: 256)')
    parser.add_argument(
        '--objects', type=int, nargs=2, default=[8, 16], metavar=('MIN', 'MAX'), help='objects an image (default: 8 16)'
    )
    parser.add_argument(
        '--mix',
        type=float,
        nargs=3,
        default=[0.2, 0.75, 0.05],
        metavar=('S', 'M', 'L'),
        help='proportions of objects below 32x32, in between, and above 96x96 pixels of area (default: 0.2 0.75 0.05)',
    )
    parser.add_argument('--seed', type=int, default=0, metavar='SEED', help='seed of everything random (default: 0)')
    args = parser.parse_args()
    if min(args.num_train, args.num_val) < 2:
        parser.error('--num-train and --num-val must be at least 2: one image stays empty and one has a crowd')
    if args.size < MIN_SIZE:
        parser.error(f'--size must be at least {MIN_SIZE} pixels')
    if not 1 <= args.objects[0] <= args.objects[1]:
        parser.error('--objects wants 1 <= MIN <= MAX')
    if min(args.mix) < 0 or sum(args.mix) <= 0:
        parser.error('--mix wants three proportions, none negative and not all zero')
    if args.seed < 0:
        parser.error('--seed must not be negative')
    if args.out.exists() and not args.out.is_dir():
        parser.error(f'{args.out} is a file: name a folder')
    return args


def load_photo(name: str) -> np.ndarray:
    """A bundled photograph as (H, W, 3) uint8 RGB."""
    photo = getattr(data, name)()
    if isinstance(photo, tuple):  # a stereo pair and its disparity
        photo = photo[0]
    return photo if photo.ndim == 3 else np.repeat(photo[..., None], 3, axis=2)


def make_split(out: Path, split: str, count: int, settings: dict) -> None:
    """Write the images of one split and then its annotation file."""
    seed = [settings['seed'], list(PHOTOS).index(split)]
    photos = [load_photo(name) for name in PHOTOS[split]]
    special = np.random.default_rng(seed).permutation(count)
    num_empty, num_crowd = (max(1, round(share * count)) for share in (EMPTY_SHARE, CROWD_SHARE))
    empty, crowded = set(special[:num_empty]), set(special[num_empty : num_empty + num_crowd])
    mix = tuple(np.array(settings['mix']) / sum(settings['mix']))
    folder = out / split
    folder.mkdir(parents=True)
    images, annotations = [], []
    for index in tqdm(range(count), desc=f'{split} images', unit='img', mininterval=1.0):
        # one generator an image: its content does not depend on how many others there are
        rng = np.random.default_rng([*seed, index])
        objects = (0, 0) if index in empty else tuple(settings['objects'])
        image, found, behind = make_scene(photos, settings['size'], objects, mix, index in crowded, rng)
        name = f'{index:06d}.jpg'
        code = cv2.imencode('.jpg', image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1]
        (folder / name).write_bytes(code.tobytes())
        height, width = image.shape[:2]
        images.append(dict(id=index + 1, file_name=name, width=width, height=height, background=PHOTOS[split][behind]))
        for annotation in found:
            annotations.append(dict(id=len(annotations) + 1, image_id=index + 1, **annotation))
    content = dict(
        info=dict(
            description='Shapes on photographs bundled with scikit-image',
            seed=settings['seed'],
            command=command(settings),
        ),
        images=images,
        annotations=annotations,
        categories=[dict(id=i, name=name, supercategory='shape') for i, name in enumerate(CLASSES, start=1)],
    )
    path = out / 'annotations' / f'instances_{split}.json'
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content))


def command(settings: dict) -> str:
    """The command line that makes the data again."""
    options = [f'--{key.replace("_", "-")} {" ".join(map(str, np.ravel(value)))}' for key, value in settings.items()]
    return ' '.join(['python tools/dataset/make_shapes_coco.py OUT', *options])


def is_finished(out: Path, stamp: dict) -> bool:
    """Whether ``out`` holds the data that ``stamp`` describes, complete."""
    path = out / STAMP
    if not path.is_file() or path.read_text() != json.dumps(stamp):
        return False
    settings = stamp['settings']
    return all(
        len(list((out / split).glob('*.jpg'))) == settings[f'num_{split}']
        and (out / 'annotations' / f'instances_{split}.json').is_file()
        for split in PHOTOS
    )


def main() -> None:
    args = parse_args()
    settings = {key: value for key, value in vars(args).items() if key != 'out'}
    sources = [Path(__file__), *(Path(__file__).with_name(name) for name in ('shape_scenes.py', 'shapes.py'))]
    code = hashlib.sha256(b''.join(path.read_bytes() for path in sources)).hexdigest()
    stamp = dict(settings=settings, code=code, finished=True)
    if is_finished(args.out, stamp):
        print(f'{args.out} is complete already, nothing to do')
        return
    owned = [args.out / name for name in (*PHOTOS, 'annotations')]
    if any(path.exists() for path in owned) and not (args.out / STAMP).is_file():
        raise SystemExit(f'{args.out} holds data that this tool did not make (no {STAMP}): name another folder.')
    args.out.mkdir(parents=True, exist_ok=True)
    # marks the folders as ours before the first of them is made; the finished stamp comes last
    (args.out / STAMP).write_text(json.dumps(dict(stamp, finished=False)))
    for path in owned:
        shutil.rmtree(path, ignore_errors=True)
    for split in PHOTOS:
        make_split(args.out, split, settings[f'num_{split}'], settings)
    (args.out / STAMP).write_text(json.dumps(stamp))
    print(f'{args.out}: {args.num_train} training and {args.num_val} validation images of {", ".join(CLASSES)}')


if __name__ == '__main__':
    main()
