"""What a detector costs: parameters, multiply-adds, time."""

from .complexity import Complexity, Part, count_complexity
from .image_size import inference_size, padded_size
from .latency import compare_latency, device_name, measure_latency

__all__ = [
    'Complexity',
    'Part',
    'compare_latency',
    'count_complexity',
    'device_name',
    'inference_size',
    'measure_latency',
    'padded_size',
]
