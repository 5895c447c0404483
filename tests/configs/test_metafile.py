"""metafile.yml and model-index.yml: what mim reads."""

import re
from pathlib import Path

import mmdet
import pytest
import yaml
from mmengine.config import Config

REPO = Path(__file__).resolve().parents[2]
METAFILE = REPO / 'configs/sparse_rcnn/metafile.yml'
MMDET_METAFILE = Path(mmdet.__file__).parent / '.mim/configs/sparse_rcnn/metafile.yml'
# The rows that were measured here, and the page that says how.
MEASURED = {
    'sparse-rcnn_lite0_fpn_best_shapes': 'README.md',
    'sparse-rcnn_lite0_fpn_shapes': 'docs/upgrades.md',
    'sparse-rcnn_lite0_fpn_bccd': 'docs/bccd.md',
}

# The format of https://model-index.readthedocs.io, which mim's readers share: names of keys, and the types of values.
COLLECTION = {'Name': str, 'Metadata': dict, 'Paper': dict, 'README': str, 'Code': dict}
MODEL = {
    'Name': str,
    'In Collection': str,
    'Config': str,
    'Metadata': dict,
    'Results': list,
    'Weights': str,
    'SHA256': str,
}
RESULT = {'Task': str, 'Dataset': str, 'Metrics': dict}
METADATA = {
    'Training Data': str,
    'Training Techniques': list,
    'Training Resources': str,
    'Architecture': list,
    'Epochs': int,
}


def read(metafile: Path) -> dict:
    return yaml.safe_load(metafile.read_text())


def by_name(metafile: Path) -> dict[str, dict]:
    models = read(metafile)['Models']
    assert len({model['Name'] for model in models}) == len(models)
    return {model['Name']: model for model in models}


def check(entry: dict, schema: dict[str, type], *needed: str) -> None:
    """Raise AssertionError for a key that the format lacks, a value of another type, or a needed key that is absent."""
    assert set(needed) <= set(entry) <= set(schema), entry
    assert all(isinstance(value, schema[key]) for key, value in entry.items()), entry


def test_index_names_the_metafile():
    index = read(REPO / 'model-index.yml')
    assert index == {'Import': [str(METAFILE.relative_to(REPO))]}


def test_format():
    content = read(METAFILE)
    assert set(content) == {'Collections', 'Models'}
    for collection in content['Collections']:
        check(collection, COLLECTION, 'Name', 'Metadata', 'Paper', 'README')
        check(collection['Metadata'], METADATA)
        # The reader of model-index takes this path from the file in which it stands.
        assert (METAFILE.parent / collection['README']).is_file()
    for model in content['Models']:
        check(model, MODEL, 'Name', 'In Collection', 'Config', 'Metadata', 'Results')
        check(model['Metadata'], METADATA, 'Epochs')
        # The lines of tools/deploy/publish.py.
        assert not model.get('Weights', '').endswith('.safetensors') or re.fullmatch('[0-9a-f]{64}', model['SHA256'])
        for result in model['Results']:
            check(result, RESULT, *RESULT)
            assert all(0 < value < 100 for value in result['Metrics'].values()), 'in per cent'


def test_every_model_has_its_config_and_collection():
    collections = {collection['Name'] for collection in read(METAFILE)['Collections']}
    models = by_name(METAFILE)
    # Nobody has trained the best combination on COCO, and a model of this format has results.
    recipes = {path.stem for path in METAFILE.parent.glob('*_coco.py') if '_best_' not in path.stem}
    assert set(models) == recipes | set(MEASURED)
    for name, model in models.items():
        assert model['In Collection'] in collections
        assert REPO / model['Config'] == METAFILE.parent / f'{name}.py'
        assert model['Metadata']['Epochs'] == Config.fromfile(REPO / model['Config']).train_cfg.max_epochs


def test_published_results_are_mmdets():
    if not MMDET_METAFILE.is_file():
        pytest.skip(f'this mmdet was installed without {MMDET_METAFILE}')
    ours, theirs = by_name(METAFILE), by_name(MMDET_METAFILE)
    for name, model in theirs.items():
        assert ours[name]['Results'] == model['Results']
        assert ours[name]['Weights'] == model['Weights']
        assert ours[name]['Metadata']['Epochs'] == model['Metadata']['Epochs']
    assert {name for name, model in ours.items() if 'Weights' in model} == set(theirs), 'no weights of others'


def test_readme_quotes_the_same_numbers():
    rows = (METAFILE.parent / 'README.md').read_text().splitlines()
    for name, model in by_name(METAFILE).items():
        if name not in MEASURED:
            row = next(row for row in rows if row.startswith('|') and f'({name}.py)' in row)
            assert f'| {model["Results"][0]["Metrics"]["box AP"]} ' in row


@pytest.mark.parametrize('name, page', MEASURED.items())
def test_measured_numbers_are_those_of_the_pages(name, page):
    ap = by_name(METAFILE)[name]['Results'][0]['Metrics']['box AP'] / 100
    tables = re.findall(r'^\|.*\|$', (REPO / page).read_text(encoding='utf-8'), re.MULTILINE)
    head = next(number for number, row in enumerate(tables) if '| AP | AP50 | AP75' in row)
    assert f'| {ap:.3f} |' in tables[head + 2]
