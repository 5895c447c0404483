"""Detect in images by a server: client.py URL MODEL FILE IMAGE…

The server is any that speaks the Open Inference Protocol (KServe's version 2) over HTTP with its binary tensors, such
as Triton and OpenVINO Model Server. FILE is the exported file that it runs: how images are prepared, and the names of
the classes, stand in it. Needs numpy, pillow, and what opens FILE (onnxruntime or openvino).
"""

import json
import sys
from functools import partial
from urllib.request import Request, urlopen

import numpy as np
from PIL import Image, ImageOps

from sparse_rcnn_ext.export import Detector

TYPES = dict(FP32=np.float32, INT64=np.int64)
NAMES = {np.dtype(kind): name for name, kind in TYPES.items()}
OUTPUTS = ('boxes', 'scores', 'labels')


def infer(url: str, model: str, images: np.ndarray, sizes: np.ndarray) -> list[np.ndarray]:
    """What ``Detector.run`` gives, computed by the server.

    Args:
        url: Such as http://localhost:8000.
        model: Its name there.
        images: (B, 3, H, W) float32, normalised.
        sizes: (B, 2) int64, height and width of each.

    Returns:
        Boxes (B, D, 4), scores (B, D), labels (B, D).
    """
    tensors = dict(images=np.ascontiguousarray(images), sizes=np.ascontiguousarray(sizes))
    header = dict(
        inputs=[
            dict(
                name=name,
                shape=tensor.shape,
                datatype=NAMES[tensor.dtype],
                parameters=dict(binary_data_size=tensor.nbytes),
            )
            for name, tensor in tensors.items()
        ],
        outputs=[dict(name=name, parameters=dict(binary_data=True)) for name in OUTPUTS],
    )
    text = json.dumps(header).encode()
    headers = {'Content-Type': 'application/octet-stream', 'Inference-Header-Content-Length': str(len(text))}
    body = b''.join([text, *(tensor.tobytes() for tensor in tensors.values())])
    with urlopen(Request(f'{url}/v2/models/{model}/infer', body, headers), timeout=60) as answer:
        length, content = int(answer.headers['Inference-Header-Content-Length']), answer.read()
    found, at = {}, length
    for output in json.loads(content[:length])['outputs']:
        size = output['parameters']['binary_data_size']
        values = np.frombuffer(content[at : at + size], TYPES[output['datatype']])
        found[output['name']] = values.reshape(output['shape'])
        at += size
    return [found[name] for name in OUTPUTS]


def main(url: str, model: str, file: str, *paths: str) -> None:
    detector = Detector(file)
    # All else stays as it is: preparing images, batches of one size, boxes in pixels of the image.
    detector.run = partial(infer, url, model)
    images = [np.asarray(ImageOps.exif_transpose(Image.open(path)).convert('RGB')) for path in paths]
    for path, found in zip(paths, detector.detect(images, score_thr=0.3), strict=True):
        for box, score, label in zip(found.boxes, found.scores, found.labels, strict=True):
            print(path, detector.classes[label], f'{score:.2f}', box.round(1))


if __name__ == '__main__':
    main(*sys.argv[1:])
