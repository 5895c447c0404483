"""What a detector costs: parameters, multiply-adds, time."""

from .complexity import Complexity, Part, count_complexity
from .latency import compare_latency, device_name, measure_latency

__all__ = [
    'Complexity',
    'Part',
    'compare_latency',
    'count_complexity',
    'device_name',
    'measure_latency',
]
