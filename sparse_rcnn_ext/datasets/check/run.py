"""Check the data sets of a config from end to end."""

from dataclasses import dataclass, replace

from mmengine.config import Config

from sparse_rcnn_ext.datasets.image_files import Reading, read_images
from sparse_rcnn_ext.errors import UserError

from .annotations import Annotations, read_annotations
from .box_findings import find_in_boxes
from .config_findings import find_between_splits, find_in_classes, find_in_evaluators, find_in_model
from .facts import Facts, gather_facts, wanted_images
from .finding import Finding, Level, first_fix
from .image_findings import find_in_images
from .sources import Source, find_sources


@dataclass(frozen=True)
class CheckResult:
    """What was counted and found."""

    facts: list[Facts]
    """One for each data set."""
    findings: list[Finding]
    """In the order of their weight within each level."""
    reading: Reading
    num_proposals: int | None

    @property
    def failed(self) -> bool:
        """Whether anything would break training or evaluation."""
        return any(finding.level is Level.ERROR for finding in self.findings)

    @property
    def first_fix(self) -> Finding | None:
        return first_fix(self.findings)


def check_datasets(cfg: Config, splits: tuple[str, ...], threads: int) -> CheckResult:
    """Read the annotation files and every image in use, and judge them by the rules that training follows.

    Args:
        cfg: The config of a run.
        splits: Some of ``'train'``, ``'val'``, ``'test'``.
        threads: How many files are read at the same time.

    Raises:
        UserError: If a data set cannot be judged at all, such as one whose annotation file is no JSON.
    """
    sources = find_sources(cfg, splits)
    annotations = [
        read_annotations(source.ann_file, source.backend_args, source.held_out, source.trains) for source in sources
    ]
    sources = [_with_classes(source, content) for source, content in zip(sources, annotations)]
    requests = [wanted_images(source, content) for source, content in zip(sources, annotations)]
    reading = read_images([request for wanted in requests for request in wanted.values()], threads)
    all_facts = [
        gather_facts(source, content, {index: reading.files[request] for index, request in wanted.items()})
        for source, content, wanted in zip(sources, annotations, requests)
    ]
    num_proposals = _num_proposals(cfg)
    findings = list(find_in_model(cfg, all_facts))
    for facts in all_facts:
        findings += find_in_classes(facts)
        findings += find_in_images(facts)
        findings += find_in_boxes(facts, num_proposals)
    findings += find_in_evaluators(cfg, all_facts)
    findings += find_between_splits(all_facts)
    return CheckResult(all_facts, findings, reading, num_proposals)


def _with_classes(source: Source, annotations: Annotations) -> Source:
    classes = source.classes or tuple(annotations.category_names)
    if not classes:
        raise UserError(f'the annotation file {source.ann_file} has no categories: list those of its annotations')
    return replace(source, classes=classes)


def _num_proposals(cfg: Config) -> int | None:
    head = (cfg.get('model') or {}).get('rpn_head') or {}
    return head.get('num_proposals')
