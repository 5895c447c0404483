default_scope = 'mmdet'
# A name such as 'sparse_rcnn_ext.SparseRCNN' is known only after this import, and mmdet.models may need the operators
# that it brings; here it also serves runners that are not started by our tools.
custom_imports = dict(imports=['sparse_rcnn_ext'], allow_failed_imports=False)

default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='sparse_rcnn_ext.AtomicCheckpointHook', interval=1),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    visualization=dict(type='DetVisualizationHook'),
    checkpoint_fit=dict(type='sparse_rcnn_ext.CheckpointFitHook'),
    class_names=dict(type='sparse_rcnn_ext.ClassNamesHook'),
    cpu_memory=dict(type='sparse_rcnn_ext.CpuMemoryHook'),
    finite_loss=dict(type='sparse_rcnn_ext.FiniteLossHook'),
    garbage=dict(type='sparse_rcnn_ext.GarbageHook'),
    held_out=dict(type='sparse_rcnn_ext.HeldOutHook'),
    image_channels=dict(type='sparse_rcnn_ext.ImageChannelsHook'),
    report=dict(type='sparse_rcnn_ext.ReportHook'),
    exact_resume=dict(type='sparse_rcnn_ext.ExactResumeHook'),
    resume_changes=dict(type='sparse_rcnn_ext.ResumeChangesHook'),
    stop_signal=dict(type='sparse_rcnn_ext.StopSignalHook'),
)

env_cfg = dict(
    cudnn_benchmark=False,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    # tools/train.py and tools/test.py take gloo where there is no CUDA.
    dist_cfg=dict(backend='nccl'),
)

vis_backends = [dict(type='LocalVisBackend')]
visualizer = dict(type='DetLocalVisualizer', vis_backends=vis_backends, name='visualizer')
log_processor = dict(type='LogProcessor', window_size=50, by_epoch=True)

log_level = 'INFO'
load_from = None
resume = False

# Only with --tta: every image at these ratios of the test scale, each also mirrored, fused into one set of boxes.
# A tta_pipeline, as in mmdet's configs, takes the place of tta_views; mmdet's DetTTAModel can take that of the model.
tta_model = dict(type='sparse_rcnn_ext.BoxFusionTTA', iou_threshold=0.65)
tta_views = dict(ratios=(0.8, 1.0, 1.2), flip=True)
