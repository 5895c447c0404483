"""Serve an exported file by Triton, as it comes by pip: triton.py FILE [PORT]; needs nvidia-pytriton.

FILE is one of --dynamic. Triton answers HTTP at PORT (8000) and gRPC at the next, to this machine alone, and makes
batches of the requests that come together; the network runs in this process, by onnxruntime or openvino. Triton's
containers run .onnx files by themselves: config.pbtxt is for these. client.py asks either.
"""

import sys

import numpy as np
from pytriton.decorators import batch
from pytriton.model_config import DynamicBatcher, ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig

from sparse_rcnn_ext.export import Detector

INPUTS = (
    Tensor(name='images', dtype=np.float32, shape=(3, -1, -1)),
    Tensor(name='sizes', dtype=np.int64, shape=(2,)),
)
OUTPUTS = (
    Tensor(name='boxes', dtype=np.float32, shape=(-1, 4)),
    Tensor(name='scores', dtype=np.float32, shape=(-1,)),
    Tensor(name='labels', dtype=np.int64, shape=(-1,)),
)
# Requests of one size that come within 5 ms share a batch.
CONFIG = ModelConfig(max_batch_size=8, batcher=DynamicBatcher(max_queue_delay_microseconds=5000))


def main(file: str, port: str = '8000') -> None:
    detector = Detector(file)

    @batch
    def infer(images: np.ndarray, sizes: np.ndarray) -> dict[str, np.ndarray]:
        found = detector.run(images, sizes)
        return dict(zip((output.name for output in OUTPUTS), found, strict=True))

    ports = dict(http_port=int(port), grpc_port=int(port) + 1, metrics_port=int(port) + 2)
    # Else the whole network is answered.
    own = dict.fromkeys(('http_address', 'grpc_address'), '127.0.0.1')
    with Triton(config=TritonConfig(**ports, **own)) as server:
        server.bind('detector', infer, INPUTS, OUTPUTS, config=CONFIG)
        server.serve()


if __name__ == '__main__':
    main(*sys.argv[1:])
