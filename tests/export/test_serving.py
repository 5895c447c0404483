"""examples/serving: the client against a small server of its protocol, and Triton's config against a file."""

import importlib.util
import json
import re
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType, SimpleNamespace

import cv2
import numpy as np
import pytest

from sparse_rcnn_ext.export import Detector
from tests.export.examples import read_images

TYPES = dict(FP32=np.float32, INT64=np.int64)


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f'serving_{path.stem}', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def server(export) -> Iterator[tuple[str, list[tuple[int, ...]]]]:
    """Its address, and the shapes that it was asked for; of the protocol what a client of binary tensors needs."""
    detector, shapes = Detector(export('onnx'), threads=1), []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers['Content-Length']))
            at = int(self.headers['Inference-Header-Content-Length'])
            request, given = json.loads(content[:at]), {}
            for tensor in request['inputs']:
                size = tensor['parameters']['binary_data_size']
                values = np.frombuffer(content[at : at + size], TYPES[tensor['datatype']])
                given[tensor['name']] = values.reshape(tensor['shape'])
                at += size
            assert self.path == '/v2/models/detector/infer' and at == len(content)
            shapes.append(given['images'].shape)
            found = dict(zip(('boxes', 'scores', 'labels'), detector.run(given['images'], given['sizes']), strict=True))
            asked = [output['name'] for output in request['outputs'] if output['parameters']['binary_data']]
            kinds = {np.dtype(kind): name for name, kind in TYPES.items()}
            outputs = [
                dict(
                    name=name,
                    shape=found[name].shape,
                    datatype=kinds[found[name].dtype],
                    parameters=dict(binary_data_size=found[name].nbytes),
                )
                for name in asked
            ]
            text = json.dumps(dict(model_name='detector', outputs=outputs)).encode()
            self.send_response(200)
            self.send_header('Inference-Header-Content-Length', str(len(text)))
            self.end_headers()
            self.wfile.write(b''.join([text, *(found[name].tobytes() for name in asked)]))

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(('127.0.0.1', 0), Handler) as service:
        thread = threading.Thread(target=service.serve_forever)
        thread.start()
        yield f'http://127.0.0.1:{service.server_port}', shapes
        service.shutdown()
        thread.join()


def test_client(repo_dir, server, export, shared_dir, tmp_path, capsys):
    address, shapes = server
    path, images = export('onnx'), read_images(shared_dir, 2)
    images.insert(1, images[0][::-1])
    files = [str(tmp_path / f'{number}.png') for number in range(3)]
    for file, image in zip(files, images, strict=True):
        cv2.imwrite(file, image[..., ::-1])
    load(repo_dir / 'examples/serving/client.py').main(address, 'detector', str(path), *files)
    # Two of one size, one of another.
    assert [count for count, *_ in shapes] == [2, 1]
    detector, lines = Detector(path, threads=1), []
    for file, found in zip(files, detector.detect(images, score_thr=0.3), strict=True):
        for box, score, label in zip(*found, strict=True):
            lines.append(' '.join(map(str, (file, detector.classes[label], f'{score:.2f}', box.round(1)))))
    assert capsys.readouterr().out.splitlines() == lines and len(lines) > 10


def test_triton_by_pip(repo_dir, export, shared_dir, monkeypatch):
    """What it is given, by a stand-in: with pytriton 0.7.0 itself docs/serving.md says what was run."""
    given = {}

    class Triton:
        def __init__(self, config: SimpleNamespace) -> None:
            given['config'] = config

        def __enter__(self) -> 'Triton':
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def bind(self, model_name, infer_func, inputs, outputs, config) -> None:
            given.update(name=model_name, infer=infer_func, inputs=inputs, outputs=outputs, batches=config)

        def serve(self) -> None:
            given['served'] = True

    parts = {
        'pytriton': {},
        'pytriton.decorators': dict(batch=lambda function: function),
        'pytriton.model_config': dict.fromkeys(('DynamicBatcher', 'ModelConfig', 'Tensor'), SimpleNamespace),
        'pytriton.triton': dict(Triton=Triton, TritonConfig=SimpleNamespace),
    }
    for name, content in parts.items():
        module = ModuleType(name)
        module.__dict__.update(content)
        monkeypatch.setitem(sys.modules, name, module)
    path = export('onnx')
    load(repo_dir / 'examples/serving/triton.py').main(str(path), '9000')
    assert given['served'] and given['name'] == 'detector' and given['batches'].max_batch_size == 8
    assert (given['config'].http_port, given['config'].http_address) == (9000, '127.0.0.1')
    detector = Detector(path, threads=1)
    batch = detector.prepare(read_images(shared_dir, 2))
    found = given['infer'](**{tensor.name: values for tensor, values in zip(given['inputs'], batch, strict=False)})
    right = detector.run(batch.pixels, batch.sizes)
    for tensor, values in zip(given['outputs'], right, strict=True):
        np.testing.assert_allclose(found[tensor.name], values, rtol=1e-5, atol=1e-5)
        assert tensor.dtype == values.dtype and len(tensor.shape) == values.ndim - 1


def test_config_of_triton_is_that_of_a_file(repo_dir, export):
    onnx = pytest.importorskip('onnx')
    text = (repo_dir / 'examples/serving/config.pbtxt').read_text()
    rows = re.findall(r'name: "(\w+)" data_type: TYPE_(\w+) dims: \[ (.*?) \]', text)
    graph = onnx.load(export('onnx')).graph
    kinds = {onnx.TensorProto.FLOAT: 'FP32', onnx.TensorProto.INT64: 'INT64'}
    values = [*graph.input, *graph.output]
    assert [(name, kind) for name, kind, _ in rows] == [
        (value.name, kinds[value.type.tensor_type.elem_type]) for value in values
    ]
    for (_, _, dims), value in zip(rows, values, strict=True):
        batch, *rest = value.type.tensor_type.shape.dim
        assert batch.dim_param == 'batch'
        # Every number of proposals has its own file.
        is_open = [
            bool(dim.dim_param) or (value.name in ('boxes', 'scores', 'labels') and not place)
            for place, dim in enumerate(rest)
        ]
        assert [int(size) for size in dims.split(',')] == [
            -1 if free else dim.dim_value for free, dim in zip(is_open, rest, strict=True)
        ]
