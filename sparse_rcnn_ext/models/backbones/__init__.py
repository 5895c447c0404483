"""Backbones that mmdet lacks."""

from .timm_backbone import TimmBackbone

__all__ = ['TimmBackbone']
