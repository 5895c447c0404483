"""Names of the official implementation's parameters, as ours."""

import re

# detectron2's ResNet calls the stages res2…res5 and hangs each norm under its convolution.
_BACKBONE = [
    (r'^backbone\.bottom_up\.stem\.conv1\.norm\.', 'backbone.bn1.'),
    (r'^backbone\.bottom_up\.stem\.conv1\.', 'backbone.conv1.'),
    (r'^(backbone\.bottom_up\.res\d\.\d+)\.shortcut\.norm\.', r'\1.downsample.1.'),
    (r'^(backbone\.bottom_up\.res\d\.\d+)\.shortcut\.', r'\1.downsample.0.'),
    (r'^(backbone\.bottom_up\.res\d\.\d+)\.conv(\d)\.norm\.', r'\1.bn\2.'),
]
_HEAD = [
    (r'^init_proposal_boxes\.', 'rpn_head.init_proposal_bboxes.'),
    (r'^init_proposal_features\.', 'rpn_head.init_proposal_features.'),
    (r'^head\.head_series\.', 'roi_head.bbox_head.'),
    (r'\.self_attn\.', '.attention.attn.'),
    (r'\.inst_interact\.norm1\.', '.instance_interactive_conv.norm_in.'),
    (r'\.inst_interact\.norm2\.', '.instance_interactive_conv.norm_out.'),
    (r'\.inst_interact\.norm3\.', '.instance_interactive_conv.fc_norm.'),
    (r'\.inst_interact\.out_layer\.', '.instance_interactive_conv.fc_layer.'),
    (r'\.inst_interact\.', '.instance_interactive_conv.'),
    (r'(bbox_head\.\d+)\.norm1\.', r'\1.attention_norm.'),
    (r'(bbox_head\.\d+)\.norm2\.', r'\1.instance_interactive_conv_norm.'),
    (r'(bbox_head\.\d+)\.norm3\.', r'\1.ffn_norm.'),
    (r'\.linear1\.', '.ffn.layers.0.0.'),
    (r'\.linear2\.', '.ffn.layers.1.'),
    (r'\.cls_module\.', '.cls_fcs.'),
    (r'\.reg_module\.', '.reg_fcs.'),
    (r'\.class_logits\.', '.fc_cls.'),
    (r'\.bboxes_delta\.', '.fc_reg.'),
]


def our_name(name: str) -> str:
    """The name of a parameter or buffer of the official model in ours."""
    for pattern, replacement in _BACKBONE + _HEAD:
        name = re.sub(pattern, replacement, name)
    name = re.sub(r'^backbone\.bottom_up\.res(\d)\.', lambda m: f'backbone.layer{int(m[1]) - 1}.', name)
    name = re.sub(r'^backbone\.fpn_lateral(\d)\.', lambda m: f'neck.lateral_convs.{int(m[1]) - 2}.conv.', name)
    return re.sub(r'^backbone\.fpn_output(\d)\.', lambda m: f'neck.fpn_convs.{int(m[1]) - 2}.conv.', name)
