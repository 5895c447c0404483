"""The runtimes of the table."""

from typing import NamedTuple

BASE = 'onnxruntime'
"""With which the others are compared."""


class Runtime(NamedTuple):
    """How to have one, and what it reads."""

    opener: str
    """Of ``alone.py``, a function; of ``alone.mjs``, a package."""
    ending: str
    """Of the file that it reads, which stands beside the .onnx."""
    packages: tuple[str, ...] = ()
    """Pinned, of PyPI or npm, the runtime first; none: that of this environment."""
    advice: str = 'nothing'
    """What to pass or to know, for those who use it."""
    program: str = 'alone.py'
    """What runs it: ``alone.py`` or ``alone.mjs``."""
    needs_ours: bool = False
    """Whether it also needs packages of this environment, torch for one."""
    is_slow: bool = False
    """One image, once."""

    @property
    def distribution(self) -> tuple[str, str | None]:
        """Its name in the registry and its version, None for that of this environment."""
        if not self.packages:
            return dict(reference='onnx', litert='ai-edge-litert').get(self.opener, self.opener), None
        name, version = self.packages[0].replace('==', '@').rsplit('@', 1)
        return name, version


RUNTIMES = {
    BASE: Runtime('onnxruntime', '.onnx'),
    'onnxruntime, newest': Runtime('onnxruntime', '.onnx', ('onnxruntime==1.32.0',)),
    'onnxruntime-node': Runtime('onnxruntime-node', '.onnx', ('onnxruntime-node@1.30.0',), program='alone.mjs'),
    'onnxruntime-web': Runtime(
        'onnxruntime-web', '.onnx', ('onnxruntime-web@1.30.0',), '`executionProviders: ["wasm"]`', 'alone.mjs'
    ),
    'OpenVINO': Runtime('openvino', '.xml', advice='`INFERENCE_PRECISION_HINT: f32`'),
    'OpenVINO, of ONNX': Runtime('openvino', '.onnx', advice='`INFERENCE_PRECISION_HINT: f32`'),
    'ONNX reference evaluator': Runtime('reference', '.onnx', advice='slow, to check others by', is_slow=True),
    'LiteRT': Runtime('litert', '.tflite', advice='`sizes` as int32; fixed size'),
    'MNN': Runtime(
        'mnn', '.onnx', ('MNN==3.6.1',), '`mnnconvert -f ONNX`; `sizes` as int32, `precision: high`; fixed size'
    ),
    'TVM': Runtime('tvm', '.onnx', ('apache-tvm==0.27.0.post1', 'onnx==1.20.1'), 'Relax, not tuned; fixed size'),
    'tract': Runtime('tract', '.onnx', ('tract==0.23.9', 'numpy==2.2.6'), 'one thread'),
    'ncnn, by pnnx': Runtime('ncnn', '.onnx', ('ncnn==1.0.20261020', 'pnnx==20261020'), 'not to be had'),
    'Core ML': Runtime(
        'coreml',
        '.torchscript',
        ('coremltools==9.0',),
        'coremltools with numpy below 2.4, `convert_to="mlprogram"`, `compute_precision=FLOAT32`, fixed size',
        needs_ours=True,
    ),
}
