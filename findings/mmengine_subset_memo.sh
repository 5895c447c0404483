#!/usr/bin/env bash
# A subset of a data set may come with a part of another data set that is long gone, and none of them is ever freed.
#
#   Found with  mmengine 0.10.7 (PyPI), torch 2.11.0
#   Expected    BaseDataset.get_subset copies the attributes of its data set.
#   Behaviour   The memo of that copy is a default argument, one dictionary for the whole process. It names the data set
#               by its number in memory and does not keep it alive. Where an object of the next data set gets that number,
#               such as its pipeline, the copy of the first data set is taken for its copy: subset[0] then calls a data
#               set in place of the pipeline. Whatever else was copied stays in memory for good.
#   Source      mmengine/dataset/base_dataset.py, BaseDataset._copy_without_annotation(self, memo=dict()); onedl-mmengine
#               0.10.12 makes a new one for each copy.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet torch==2.11.0 mmengine==0.10.7

"$folder/venv/bin/python" - <<'PYTHON'
import gc
import weakref

from mmengine.dataset import BaseDataset, Compose


class Numbers(BaseDataset):
    """Two entries."""

    def load_data_list(self):
        return [dict(number=0), dict(number=1)]


class Step:
    """Of a pipeline."""

    def __call__(self, entry):
        return entry


wrong, kept = 0, []
for _ in range(200):
    dataset = Numbers(pipeline=[Step()], serialize_data=False)
    subset = dataset.get_subset([1])
    wrong += type(subset.pipeline) is not Compose or type(subset.pipeline.transforms[0]) is not Step
    kept.append(weakref.ref(dataset.pipeline))
    del dataset, subset
gc.collect()
alive = sum(one() is not None for one in kept)
print(f'200 subsets: {wrong} have a part of another data set, {alive} pipelines are alive after all of them are gone')
assert wrong > 0 and alive > 100
PYTHON

# Output seen, 2026-11-30 (the first number changes by one or two from run to run):
#   200 subsets: 198 have a part of another data set, 200 pipelines are alive after all of them are gone
