"""Documented commands that another test runs, because they take long here or need what this folder has not."""

import ast
from pathlib import Path

TABLES = ['components', 'reuse', 'interaction', 'boxes', 'stages', 'attention', 'position', 'dropout', 'switches']

RUNS_IT = {
    **{
        f'python tools/ablate.py {table} --data quickstart --epochs 3 --seeds {seeds}': [
            'tests/tools/test_ablate.py::test_all_rows_and_seeds',
            'tests/tools/test_ablate.py::test_epochs',
            'tests/tools/test_ablate_options.py::test_data_of_the_quickstart_are_made_if_absent',
        ]
        for table, seeds in [*((table, 2) for table in TABLES), ('upgrades', 3)]
    },
    'python tools/ablate.py upgrades --data quickstart --epochs 2 --seeds 3 --cfg-options '
    'train_dataloader.batch_size=2 train_dataloader.dataset.indices=600 default_hooks.report.enabled=False': [
        'tests/tools/test_ablate.py::test_row_wins_over_an_option',
        'tests/tools/test_ablate.py::test_all_rows_and_seeds',
        'tests/tools/test_ablate.py::test_epochs',
        'tests/tools/test_ablate_options.py::test_data_of_the_quickstart_are_made_if_absent',
    ],
    'python tools/analysis/flops.py work_dirs/ablations/quickstart/runs/fast_2d07a52306/config.py --latency --against '
    'work_dirs/ablations/quickstart/runs/stages-6_8af58c2d8f/config.py': [
        'tests/tools/test_flops.py::test_latency_against_another',
    ],
    'python tools/ablate.py best --data configs/sparse_rcnn/sparse-rcnn_lite0_fpn_bccd.py --epochs 24 --seeds 2 '
    '--val-interval 2': [
        'tests/tools/test_ablate.py::test_curves',
        'tests/tools/test_ablate.py::test_all_rows_and_seeds',
        'tests/tools/test_ablate.py::test_epochs',
        'tests/tools/test_ablate_options.py::test_data_of_the_quickstart_are_made_if_absent',
    ],
    **{
        f'python tools/deploy/export.py CONFIG CHECKPOINT {options}': [
            'tests/tools/test_export.py::test_onnx_is_written_and_checked'
        ]
        for options in ('--dynamic --check IMAGE', '--format onnx --dynamic --check photo.jpg')
    },
    'python tools/deploy/export.py CONFIG CHECKPOINT --format openvino --dynamic --int8 --check IMAGE': [
        'tests/tools/test_export.py::test_int8_is_written_and_checked'
    ],
    'python tools/deploy/export.py work_dirs/sparse-rcnn_r50_fpn_own-data/sparse-rcnn_r50_fpn_own-data.py '
    'work_dirs/sparse-rcnn_r50_fpn_own-data/epoch_50.pth --dynamic --check photo.jpg': [
        'tests/tools/test_export.py::test_onnx_is_written_and_checked'
    ],
    'python tools/train.py configs/sparse_rcnn/sparse-rcnn_r50_fpn_1x_coco.py --compile': [
        'tests/tools/test_fast_modes.py::test_compiled_training_and_test'
    ],
    'python tools/train.py configs/sparse_rcnn/sparse-rcnn_r50_fpn_128-proposals_640-3x_coco.py --cfg-options '
    'long_side=512 decay=cosine amp=bf16 debug=16': ['tests/tools/test_640_training.py::test_trains_and_tests'],
    'python tools/analysis/benchmark.py all --device cpu --threads 2 --out docs/benchmarks/cpu': [
        'tests/tools/test_benchmark.py::test_everything_is_measured',
        'tests/tools/test_benchmark.py::test_the_fixed_list_and_growth',
    ],
    'python tools/analysis/benchmark.py evaluation --threads 2 --images 2500': [
        'tests/tools/test_benchmark.py::test_everything_is_measured'
    ],
    'python tools/quickstart.py --config configs/sparse_rcnn/sparse-rcnn_lite0_fpn_shapes.py': [
        'tests/tools/test_quickstart.py::test_paths_of_the_data_are_moved'
    ],
    'python tools/analysis/benchmark.py loading --threads 2': ['tests/tools/test_benchmark.py::test_loading'],
    'python tools/deploy/evaluate.py CONFIG FILE': [
        'tests/tools/test_export.py::test_an_exported_file_scores_as_the_checkpoint'
    ],
    'python tools/analysis/export_latency.py configs/sparse_rcnn/sparse-rcnn_lite0_fpn_shapes.py '
    'work_dirs/sparse-rcnn_lite0_fpn_shapes/epoch_12.pth --threads 2': [
        'tests/tools/test_export_latency.py::test_a_trained_model_and_a_file'
    ],
    'python tools/analysis/export_latency.py configs/sparse_rcnn/sparse-rcnn_r50_fpn_1x_coco.py --threads 2 '
    "--cfg-options 'test_dataloader.dataset.pipeline.1.scale=(640,640)'": [
        'tests/tools/test_export_latency.py::test_every_format_by_default_and_without_weights'
    ],
    'python tools/analysis/export_latency.py configs/sparse_rcnn/sparse-rcnn_r50_fpn_1x_coco.py --threads 2 --int8 '
    "--formats onnx openvino --cfg-options 'test_dataloader.dataset.pipeline.1.scale=(640,640)'": [
        'tests/tools/test_export_latency.py::test_every_format_by_default_and_without_weights',
        'tests/tools/test_export_latency.py::test_a_trained_model_and_a_file',
    ],
    **{
        f'python tools/deploy/export.py CONFIG CHECKPOINT {options}': [
            'tests/tools/test_export.py::test_onnx_is_written_and_checked'
        ]
        for options in (
            '--out model.onnx',
            '--format openvino --out model.xml',
            '--format torchscript --out model.torchscript',
        )
    },
    'python tools/deploy/export.py CONFIG CHECKPOINT --format tflite --check IMAGE': [
        'tests/tools/test_export_tflite.py::test_it_is_written_and_checked'
    ],
    'python tools/analysis/runtimes.py model.onnx IMAGES': ['tests/export/test_runtime_table.py::test_table'],
    'python tools/analysis/report.py work_dirs/RUN': ['tests/tools/test_report.py::test_again'],
    'python tools/analysis/report.py work_dirs/RUN '
    '--checkpoint work_dirs/RUN/epoch_8.pth --score-thr 0.5 --images 500': ['tests/tools/test_report.py::test_options'],
    'python tools/analysis/replay_batch.py work_dirs/RUN/CONFIG_NAME.py work_dirs/RUN/epoch_8.pth '
    'work_dirs/RUN/non_finite/iter_7001.pt': ['tests/tools/test_replay_batch.py::test_it_fails_again'],
    'python tools/convert/official_to_mmdet.py r50_300pro_3x_model.pth r50_300pro_3x.pth': [
        'tests/tools/test_convert_weights.py::test_detections_of_the_official_implementation'
    ],
    'python tools/deploy/publish.py CHECKPOINT model.safetensors': [
        'tests/tools/test_safe_checkpoints.py::test_what_publish_prints'
    ],
    'python tools/demo.py CONFIG CHECKPOINT': ['tests/tools/test_demo.py::test_upload_and_both_sliders'],
    'tools/dist_train.sh configs/sparse_rcnn/sparse-rcnn_r50_fpn_1x_coco.py 4': [
        'tests/tools/test_distributed.py::test_two_processes_train_and_save_once'
    ],
    'tools/dist_train.sh configs/sparse_rcnn/sparse-rcnn_r50_fpn_1x_coco.py 8': [
        'tests/tools/test_distributed.py::test_two_machines_form_one_job'
    ],
    'tools/dist_test.sh configs/sparse_rcnn/sparse-rcnn_r50_fpn_1x_coco.py CHECKPOINT 4': [
        'tests/tools/test_distributed.py::test_two_processes_detect_what_one_does'
    ],
    'tools/slurm_train.sh PARTITION JOB_NAME configs/sparse_rcnn/sparse-rcnn_r50_fpn_1x_coco.py': [
        'tests/tools/test_distributed.py::test_slurm_train'
    ],
}

# This test takes the commands out of the page itself and asserts that none is left.
READS_THE_PAGE = {'docs/bccd.md': 'tests/tools/test_bccd.py::test_whole_example'}


def strings_of(repo: Path, test: str) -> set[str]:
    """The texts in the file of a test, those of f-strings too.

    Raises:
        LookupError: If there is no such test.
    """
    file, _, name = test.partition('::')
    if not (repo / file).is_file():
        raise LookupError(f'there is no {file}')
    tree = ast.parse((repo / file).read_text(encoding='utf-8'))
    if name not in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}:
        raise LookupError(f'{file} has no {name}')
    constants = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    return {text for text in constants if isinstance(text, str)}
