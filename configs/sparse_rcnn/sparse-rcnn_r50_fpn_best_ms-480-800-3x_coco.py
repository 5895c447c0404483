# Query generator, denoising and MAL on COCO, 36 epochs. Not trained on COCO here: its AP is not known.
_base_ = './upgrades/best.py'
