#!/usr/bin/env bash
# A config in pure Python cannot be built from the copy that mmengine itself writes of it.
#
#   Found with  mmengine 0.10.7 and onedl-mmengine 0.10.12 (PyPI)
#   Expected    Config.dump writes what Config.fromfile reads to the same effect; a training keeps such a copy in its folder.
#   Behaviour   A class is written as the path of its module and its name. Where a package exports a function under the name
#               of one of its modules, as mmdet.models.losses does with smooth_l1_loss, the path is read as that function,
#               which has no such attribute: building the part from the copy raises KeyError, "not in the registry".
#   Source      mmengine/utils/misc.py, get_object_from_string: a part of the path that is no module is taken for the object,
#               though a module of that name is there and has what the rest of the path names.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet torch==2.11.0 mmengine==0.10.7
mkdir -p "$folder/shop/scales"
touch "$folder/shop/__init__.py"
echo 'from .weigh import weigh' > "$folder/shop/scales/__init__.py"
cat > "$folder/shop/scales/weigh.py" <<'PYTHON'
class Scale:
    """Reads so many grams."""

    def __init__(self, grams):
        self.grams = grams


def weigh(grams):
    """On a scale."""
    return Scale(grams).grams
PYTHON
cat > "$folder/config.py" <<'PYTHON'
from shop.scales.weigh import Scale

part = dict(type=Scale, grams=3)
PYTHON

cd "$folder"
venv/bin/python - <<'PYTHON'
import sys

from mmengine.config import Config
from mmengine.registry import Registry

sys.path.insert(0, '.')
registry = Registry('part')
cfg = Config.fromfile('config.py', lazy_import=True)
assert registry.build(cfg.part).grams == 3
cfg.dump('copy.py')
copy = Config.fromfile('copy.py')
print(f'the copy has {copy.part}')
try:
    registry.build(copy.part)
except KeyError as error:
    print(f'KeyError: {str(error)[:72]}…')
else:
    raise SystemExit('this has changed: the copy can be built')
PYTHON

# Output seen, 2026-12-01:
#   the copy has {'grams': 3, 'type': 'shop.scales.weigh.Scale'}
#   KeyError: 'shop.scales.weigh.Scale is not in the __main__::part registry. Please c…
