"""The runtime on images of any size."""

import ctypes
import gc
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from sparse_rcnn_ext.export import Detector
from sparse_rcnn_ext.export.runtime import sessions
from sparse_rcnn_ext.export.runtime.network_input import Batch
from tests.export.examples import detect, read_images


def test_boxes_are_in_pixels_of_the_image(export, tiny_detector, shared_dir):
    file = Detector(export('onnx'))
    images = read_images(shared_dir)
    for image, found in zip(images, file.detect(images, score_thr=0), strict=True):
        (expected,) = detect(tiny_detector, file.prepare([image]), [image])
        np.testing.assert_allclose(found.scores, expected.scores, atol=1e-3)
        np.testing.assert_array_equal(found.labels[:5], expected.labels[:5])
        np.testing.assert_allclose(found.boxes[:5], expected.bboxes[:5], atol=0.1)
        assert found.boxes[:, 2:].max() > 200 > max(file.metadata['resize']['scale'])


class Given(Detector):
    """A detector whose network found what it is told."""

    def __init__(self, metadata: dict, *outputs: list) -> None:
        self.metadata, self._batch_size = dict(size=[8, 8], pad=None, pad_divisor=8, **metadata), None
        self.metadata['resize'] = dict(scale=[8, 8], keep_ratio=False)
        self.run = lambda pixels, sizes: [np.array(output, np.float32)[None] for output in outputs]

    def prepare(self, images):
        return Batch(np.zeros((1, 3, 8, 8), np.float32), np.array([[8, 8]]), np.float32([[0.5, 0.25]]))


@pytest.mark.parametrize('clip', [{}, dict(clip_boxes=False), dict(clip_boxes=True)])
def test_boxes_end_at_the_border(clip):
    """Where the file says so; files of before say nothing."""
    image = np.zeros((30, 10, 3), np.uint8)
    boxes = [[-1, 2, 3, 9], [1, 1, 2, 2], [5, 1, 6, 2], [4, 1, 4.5, 2], [3, 1, 2, 2]]
    found = Given(clip, boxes, [0.9, 0.8, 0.7, 0.6, 0.5], range(5))(image, score_thr=0.1)
    if clip.get('clip_boxes'):
        # The third begins at the right border of the image, 10 pixels wide; the last is inside out.
        assert found.boxes.tolist() == [[0, 8, 6, 30], [2, 4, 4, 8], [8, 4, 9, 8]]
        assert found.labels.tolist() == [0, 1, 3] and found.scores == pytest.approx([0.9, 0.8, 0.6])
    else:
        assert found.boxes.tolist() == (np.array(boxes) * [2, 4, 2, 4]).tolist() and len(found.scores) == 5


def test_images_of_one_size_share_a_batch(export, shared_dir):
    """In each is found what is found in it alone."""
    file = Detector(export('onnx'), threads=1)
    wide, tall = (photograph for photograph in read_images(shared_dir, 2))
    images = [wide, tall, wide[::-1], np.ascontiguousarray(wide[:, ::-1]), tall[::-1], wide[:-7]]
    run, shapes = file.run, []

    def note(pixels: np.ndarray, sizes: np.ndarray) -> list[np.ndarray]:
        shapes.append(pixels.shape)
        return run(pixels, sizes)

    file.run = note
    together = file.detect(images, score_thr=0, batch_size=3)
    # Of the wide ones, the last among them, which is a little narrower and filled up to the same size.
    assert [count for count, *_ in shapes] == [3, 1, 2] and len({shape[2:] for shape in shapes}) == 2
    for image, found in zip(images, together, strict=True):
        alone = file(image, score_thr=0)
        np.testing.assert_allclose(found.scores, alone.scores, atol=1e-5)
        np.testing.assert_allclose(found.boxes, alone.boxes, atol=1e-2)
        np.testing.assert_array_equal(found.labels, alone.labels)
    with pytest.raises(ValueError, match=r'^batch_size is 0: give at least 1$'):
        file.detect(images, batch_size=0)


def test_threshold_and_one_image_alone(export, shared_dir):
    file = Detector(export('onnx'), threads=1)
    image = read_images(shared_dir, 1)[0]
    everything = file(image, score_thr=0)
    assert len(everything.scores) == file.metadata['top_k'] == 20
    assert (np.diff(everything.scores) <= 0).all()
    threshold = float(everything.scores[3:5].mean())
    found = file(image, threshold)
    assert len(found.boxes) == len(found.scores) == len(found.labels) == 4
    np.testing.assert_array_equal(found.boxes, everything.boxes[:4])
    assert file.classes[found.labels[0]] in file.metadata['classes']
    assert file.detect([]) == []


def test_other_files_are_refused(export, tmp_path):
    with pytest.raises(FileNotFoundError, match='no file'):
        Detector(tmp_path / 'none.onnx')
    with pytest.raises(ValueError, match=r'ends in none of \.onnx, \.xml, \.torchscript, \.tflite: '):
        Detector(tmp_path / 'weights.pth')
    plain = tmp_path / 'plain.torchscript'
    torch.jit.save(torch.jit.script(torch.nn.ReLU()), str(plain))
    with pytest.raises(ValueError, match='has no metadata'):
        Detector(plain)
    (tmp_path / 'text.torchscript').write_text('no network')
    with pytest.raises(ValueError, match=r'text\.torchscript cannot be opened \(.+\): give a file of') as error:
        Detector(tmp_path / 'text.torchscript')
    assert '\n' not in str(error.value)
    path = export('onnx')
    (tmp_path / 'cut.onnx').write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(ValueError, match=r'cut\.onnx cannot be opened'):
        Detector(tmp_path / 'cut.onnx')
    onnx = pytest.importorskip('onnx')
    model = onnx.load(path)
    del model.metadata_props[:]
    onnx.save(model, tmp_path / 'bare.onnx')
    with pytest.raises(ValueError, match='has no metadata'):
        Detector(tmp_path / 'bare.onnx')


def test_metadata_of_other_tools_are_left_alone(export, tmp_path):
    path = export('onnx')
    onnx = pytest.importorskip('onnx')
    model = onnx.load(path)
    onnx.helper.set_model_props(
        model, {prop.key: prop.value for prop in model.metadata_props} | {'author': 'me', 'onnx.infer': ''}
    )
    onnx.save(model, tmp_path / 'signed.onnx')
    assert Detector(tmp_path / 'signed.onnx').metadata == Detector(path).metadata


def test_a_file_that_lost_metadata_is_refused(export, tmp_path):
    path = export('onnx')
    onnx = pytest.importorskip('onnx')
    model = onnx.load(path)
    kept = {prop.key: prop.value for prop in model.metadata_props if prop.key not in ('mean', 'pad')}
    onnx.helper.set_model_props(model, kept)
    onnx.save(model, tmp_path / 'part.onnx')
    with pytest.raises(ValueError, match=r'part\.onnx has no pad, mean in its metadata: give a file of') as error:
        Detector(tmp_path / 'part.onnx')
    assert '\n' not in str(error.value)


@pytest.mark.parametrize(
    ('given', 'passed'),
    [
        (None, ['CPUExecutionProvider']),
        (['CPUExecutionProvider'], ['CPUExecutionProvider']),
        ((('CPUExecutionProvider', {'use_arena': '0'}),), [('CPUExecutionProvider', {'use_arena': '0'})]),
    ],
)
def test_providers_are_passed_on(export, monkeypatch, given, passed):
    path = export('onnx')
    onnxruntime = pytest.importorskip('onnxruntime')
    opened = []
    session = onnxruntime.InferenceSession

    def open_session(*args, providers):
        opened.append(providers)
        return session(*args, providers=providers)

    monkeypatch.setattr(onnxruntime, 'InferenceSession', open_session)
    assert Detector(path, threads=1, providers=given).classes
    assert opened == [passed]


def test_providers_that_are_not_there_are_refused(export):
    path = export('onnx')
    onnxruntime = pytest.importorskip('onnxruntime')
    there = ', '.join(onnxruntime.get_available_providers())
    given = [('FooExecutionProvider', {}), 'CPUExecutionProvider', 'Bar']
    with pytest.raises(ValueError, match=f'^this onnxruntime has no FooExecutionProvider, Bar: .* of {there}$'):
        Detector(path, providers=given)
    with pytest.raises(ValueError, match='give a list'):
        Detector(path, providers='CPUExecutionProvider')


@pytest.mark.parametrize('ending', ['.xml', '.torchscript'])
def test_providers_are_of_onnx_files_alone(tmp_path, ending):
    path = tmp_path / f'network{ending}'
    path.touch()
    with pytest.raises(ValueError, match=rf'network{ending} is not run by onnxruntime, .* give a \.onnx'):
        Detector(path, providers=['CPUExecutionProvider'])


def test_a_file_without_its_weights_is_refused(export, tmp_path):
    file = tmp_path / 'alone.xml'
    file.write_bytes(export('openvino').read_bytes())
    with pytest.raises(ValueError, match=r'alone\.xml cannot be opened'):
        Detector(file)


def test_bfloat16_is_asked_for(export, shared_dir, monkeypatch):
    """And else not used, also where the CPU has it."""
    path = export('openvino')
    core = sessions._openvino_core()
    can = 'BF16' in core.get_property('CPU', 'OPTIMIZATION_CAPABILITIES')
    (image,) = read_images(shared_dir, 1)
    if can:
        exact, rough = (Detector(path, precision=precision)(image, score_thr=0) for precision in ('fp32', 'bf16'))
        assert 0 < np.abs(exact.scores - rough.scores).max() < 0.1
        return
    with pytest.raises(ValueError, match='this CPU does not compute in bf16: give no precision'):
        Detector(path, precision='bf16')
    # What such a CPU would be told.
    asked = []

    class Able:
        def get_property(self, *names: str) -> list[str]:
            return ['FP32', 'BF16']

        def read_model(self, path):
            return core.read_model(path)

        def compile_model(self, model, device, settings):
            asked.append(settings['INFERENCE_PRECISION_HINT'])
            return core.compile_model(model, device, {})

    monkeypatch.setattr(sessions, '_openvino_core', Able)
    for precision in ('fp32', 'bf16'):
        Detector(path, precision=precision)
    assert asked == ['f32', 'bf16']


def test_precisions_that_a_runtime_lacks_are_refused(export):
    path = export('torchscript')
    with pytest.raises(ValueError, match=r'script is not run by openvino, .*: give a \.xml, or no precision'):
        Detector(path, precision='bf16')
    with pytest.raises(ValueError, match="precision is 'half': give one of fp32, bf16"):
        Detector(path, precision='half')


class SignalStack(ctypes.Structure):
    """stack_t of signal.h."""

    _fields_ = [('start', ctypes.c_void_p), ('flags', ctypes.c_int), ('size', ctypes.c_size_t)]


@pytest.mark.skipif(sys.platform != 'linux', reason='looks into /proc')
def test_signals_find_their_stack_after_two_detectors(export):
    """They go in the order in which they came; Ctrl-C is handled on what the last one leaves."""
    first, second = (Detector(export('openvino')) for _ in range(2))
    del first
    gc.collect()
    del second
    gc.collect()
    stack = SignalStack()
    assert ctypes.CDLL(None).sigaltstack(None, ctypes.byref(stack)) == 0
    ranges = (line.split()[0].split('-') for line in Path('/proc/self/maps').read_text().splitlines())
    memory = [range(*(int(number, 16) for number in ends)) for ends in ranges]
    assert stack.start is None or any(stack.start in part for part in memory)
