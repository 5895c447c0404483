# Minutes on a CPU: small batches for many steps, and a learning rate that falls to zero, where most of the AP comes
# from.
_base_ = './schedule_1x.py'

max_epochs = 12
train_cfg = dict(max_epochs=max_epochs, val_interval=4)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=100),
    dict(type='CosineAnnealingLR', begin=0, end=max_epochs, T_max=max_epochs, convert_to_iter_based=True),
]
optim_wrapper = dict(optimizer=dict(lr=3e-4))
auto_scale_lr = dict(base_batch_size=4)
