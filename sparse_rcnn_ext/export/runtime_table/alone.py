"""Runs a file in one runtime and writes what came out: python alone.py RUNTIME FILE INPUTS OUTPUTS THREADS ROUNDS.

INPUTS has for each image N ``N.images`` (float32) and ``N.sizes`` (int64), and ``shapes.json`` with the shape of each
``N.images``. OUTPUTS gets ``N.boxes``, ``N.scores`` (float32), ``N.labels`` (int64) and ``result.json`` with the
seconds of each round, or the error. Nothing is imported but numpy and the runtime.
"""

import json
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

Run = Callable[[np.ndarray, np.ndarray], Sequence[np.ndarray]]
"""Images (1, 3, H, W) and sizes (1, 2) to boxes (1, D, 4), scores (1, D) and labels (1, D)."""


def open_onnxruntime(file: Path, threads: int) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(file), options, providers=['CPUExecutionProvider'])
    return lambda images, sizes: session.run(None, dict(images=images, sizes=sizes))


def open_openvino(file: Path, threads: int) -> Run:
    import openvino

    settings = dict(INFERENCE_PRECISION_HINT='f32', PERFORMANCE_HINT='LATENCY', INFERENCE_NUM_THREADS=threads)
    compiled = openvino.Core().compile_model(str(file), 'CPU', settings)
    request = compiled.create_infer_request()

    def run(images: np.ndarray, sizes: np.ndarray) -> list[np.ndarray]:
        found = request.infer(dict(images=images, sizes=sizes))
        return [found[name] for name in ('boxes', 'scores', 'labels')]

    return run


def open_litert(file: Path, threads: int) -> Run:
    from ai_edge_litert.interpreter import Interpreter

    runner = Interpreter(str(file), num_threads=threads).get_signature_runner()

    def run(images: np.ndarray, sizes: np.ndarray) -> list[np.ndarray]:
        found = runner(images=images, sizes=sizes.astype(np.int32))
        return [found[name] for name in ('boxes', 'scores', 'labels')]

    return run


def open_reference(file: Path, threads: int) -> Run:
    from onnx.reference import ReferenceEvaluator

    evaluator = ReferenceEvaluator(str(file))
    return lambda images, sizes: evaluator.run(None, dict(images=images, sizes=sizes))


def open_mnn(file: Path, threads: int) -> Run:
    import MNN

    converted = _beside(file, 'mnn')
    _call('mnnconvert', '-f', 'ONNX', '--modelFile', file, '--MNNModel', converted, '--bizCode', 'MNN')
    # Backend 0 is the CPU, precision 1 is high.
    manager = MNN.nn.create_runtime_manager((dict(backend=0, precision=1, numThread=threads),))
    names = ['boxes', 'scores', 'labels']
    module = MNN.nn.load_module_from_file(str(converted), ['images', 'sizes'], names, runtime_manager=manager)

    def run(images: np.ndarray, sizes: np.ndarray) -> list[np.ndarray]:
        sizes = sizes.astype(np.int32)
        pixels = MNN.expr.const(images, images.shape, MNN.expr.NCHW, MNN.expr.float)
        found = module.forward([pixels, MNN.expr.const(sizes, sizes.shape, MNN.expr.NCHW, MNN.expr.int)])
        return [np.array(values.read()) for values in found]

    return run


def open_tvm(file: Path, threads: int) -> Run:
    import onnx
    import tvm
    from tvm import relax
    from tvm.relax.frontend.onnx import from_onnx

    machine = relax.VirtualMachine(tvm.compile(from_onnx(onnx.load(file)), target='llvm'), tvm.cpu())

    def run(images: np.ndarray, sizes: np.ndarray) -> list[np.ndarray]:
        return [values.numpy() for values in machine['main'](tvm.runtime.tensor(images), tvm.runtime.tensor(sizes))]

    return run


def open_tract(file: Path, threads: int) -> Run:
    import tract

    runnable = tract.onnx().load(str(file)).into_model().into_runnable()
    return lambda images, sizes: [values.to_numpy() for values in runnable.run([images, sizes])]


def open_ncnn(file: Path, threads: int) -> Run:
    import ncnn

    converted = _beside(file, 'onnx')
    converted.write_bytes(file.read_bytes())
    _call('pnnx', converted)
    net = ncnn.Net()
    net.opt.num_threads = threads
    stem = converted.with_suffix('')
    if net.load_param(f'{stem}.ncnn.param') or net.load_model(f'{stem}.ncnn.bin'):
        raise RuntimeError('the converted file does not load: it has layers that ncnn lacks')

    def run(images: np.ndarray, sizes: np.ndarray) -> list[np.ndarray]:
        with net.create_extractor() as extractor:
            extractor.input('in0', ncnn.Mat(images[0]))
            extractor.input('in1', ncnn.Mat(sizes.astype(np.int32)))
            return [np.array(extractor.extract(f'out{number}')[1])[None] for number in range(3)]

    return run


def open_coreml(file: Path, threads: int) -> None:
    """It is converted, and runs on Apple's systems only."""
    import coremltools
    import torch

    network = torch.jit.load(str(file), map_location='cpu').eval()
    height, width = json.loads(file.with_name('size.json').read_text())
    inputs = [
        coremltools.TensorType(name='images', shape=(1, 3, height, width)),
        coremltools.TensorType(name='sizes', shape=(1, 2), dtype=np.int32),
    ]
    coremltools.convert(
        network,
        inputs=inputs,
        convert_to='mlprogram',
        compute_precision=coremltools.precision.FLOAT32,
        minimum_deployment_target=coremltools.target.iOS17,
    ).save(str(_beside(file, 'mlpackage')))


def _beside(file: Path, ending: str) -> Path:
    folder = file.parent / 'converted'
    folder.mkdir(exist_ok=True)
    return folder / f'{file.stem}.{ending}'


def _call(program: str, *arguments: str | Path) -> None:
    """A program that came with the runtime."""
    command = [Path(sysconfig.get_path('scripts'), program), *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise RuntimeError(f'{program}: {(done.stdout.strip() or "no reason given").splitlines()[-1]}')


OPENERS = {name.removeprefix('open_'): value for name, value in globals().items() if name.startswith('open_')}


def main(runtime: str, file: str, inputs: str, outputs: str, threads: str, rounds: str) -> dict:
    shapes = json.loads(Path(inputs, 'shapes.json').read_text())
    run = OPENERS[runtime](Path(file), int(threads))
    if run is None:
        return dict(seconds=[])
    batches, seconds = [], []
    for place, shape in enumerate(shapes):
        images = np.fromfile(Path(inputs, f'{place}.images'), np.float32).reshape(shape)
        sizes = np.fromfile(Path(inputs, f'{place}.sizes'), np.int64).reshape(-1, 2)
        batches.append((images, sizes))
        started = time.perf_counter()
        found = run(images, sizes)
        seconds.append(time.perf_counter() - started)
        kinds = dict(boxes=np.float32, scores=np.float32, labels=np.int64)
        for (name, kind), values in zip(kinds.items(), found, strict=True):
            np.asarray(values).astype(kind).tofile(Path(outputs, f'{place}.{name}'))
    for turn in range(int(rounds)):
        started = time.perf_counter()
        run(*batches[turn % len(batches)])
        seconds.append(time.perf_counter() - started)
    # The first runs are longer, and count only where there are no others.
    return dict(seconds=seconds[len(batches) :] or seconds)


if __name__ == '__main__':
    try:
        result = main(*sys.argv[1:])
    except Exception as error:  # whatever a runtime throws is what the table says of it
        text = str(error).strip() or 'no reason given'
        result = dict(error=f'{type(error).__name__}: {text.splitlines()[0]}')
    Path(sys.argv[4], 'result.json').write_text(json.dumps(result))
