#!/usr/bin/env bash
# A submodule called `graph` or `meta` exports, and the program that it exports to cannot be used.
#
#   Found with  torch 2.11.0 (PyPI)
#   Expected    nn.Module has no attribute of these names, so they are free for submodules; what torch.export takes can
#               be decomposed, and turned back into a module.
#   Behaviour   torch.export.export succeeds. ExportedProgram.module() and .run_decompositions(), and with the latter
#               what is built on it, torch.onnx.export and litert-torch, raise RuntimeError: the node of the weight
#               "references nonexistent attribute". Weights are put back under their names into a GraphModule, which has
#               attributes and methods of its own: graph, meta, recompile, print_readable. Under another name all works.
#   Source      torch/export/_unlift.py; torch/fx/graph_module.py
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet torch==2.11.0 numpy==2.2.6

"$folder/venv/bin/python" - 2>/dev/null <<'PYTHON'
import torch


class Wrapper(torch.nn.Module):
    def __init__(self, name):
        super().__init__()
        assert not hasattr(self, name)
        self.add_module(name, torch.nn.Linear(2, 2))
        self.name = name

    def forward(self, values):
        return getattr(self, self.name)(values)


def use(name, method):
    program = torch.export.export(Wrapper(name).eval(), (torch.zeros(1, 2),))
    try:
        getattr(program, method)()
    except RuntimeError as error:
        return f'RuntimeError: {"references nonexistent attribute" in str(error)}'
    return 'fine'


found = {
    name: [use(name, 'module'), use(name, 'run_decompositions')] for name in ('network', 'graph', 'meta', 'recompile')
}
print(found)
assert found == dict(network=['fine'] * 2) | {name: ['RuntimeError: True'] * 2 for name in list(found)[1:]}
PYTHON

# Output seen, 2026-12-02:
#   {'network': ['fine', 'fine'], 'graph': ['RuntimeError: True', 'RuntimeError: True'],
#    'meta': ['RuntimeError: True', 'RuntimeError: True'], 'recompile': ['RuntimeError: True', 'RuntimeError: True']}
