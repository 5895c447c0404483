"""metafile.yml: what mim reads."""

from pathlib import Path

import mmdet
import pytest
import yaml

REPO = Path(__file__).resolve().parents[2]
METAFILE = REPO / 'configs/sparse_rcnn/metafile.yml'
MMDET_METAFILE = Path(mmdet.__file__).parent / '.mim/configs/sparse_rcnn/metafile.yml'


def by_name(metafile: Path) -> dict[str, dict]:
    return {model['Name']: model for model in yaml.safe_load(metafile.read_text())['Models']}


def test_every_model_has_its_config_and_collection():
    collections = {collection['Name'] for collection in yaml.safe_load(METAFILE.read_text())['Collections']}
    models = by_name(METAFILE)
    recipes = {path.stem for path in METAFILE.parent.glob('*_coco.py')}
    assert set(models) == recipes
    for name, model in models.items():
        assert model['In Collection'] in collections
        assert REPO / model['Config'] == METAFILE.parent / f'{name}.py'


def test_published_results_are_mmdets():
    if not MMDET_METAFILE.is_file():
        pytest.skip(f'this mmdet was installed without {MMDET_METAFILE}')
    ours = by_name(METAFILE)
    for name, model in by_name(MMDET_METAFILE).items():
        assert ours[name]['Results'] == model['Results']
        assert ours[name]['Weights'] == model['Weights']
        assert ours[name]['Metadata']['Epochs'] == model['Metadata']['Epochs']


def test_readme_quotes_the_same_numbers():
    rows = (METAFILE.parent / 'README.md').read_text().splitlines()
    for name, model in by_name(METAFILE).items():
        row = next(row for row in rows if row.startswith('|') and f'({name}.py)' in row)
        assert f'| {model["Results"][0]["Metrics"]["box AP"]} ' in row
