"""The mask decoder: Mask2Former (Cheng et al., CVPR 2022) on WEFT's four feature maps."""

from weft_geo.models.mask_decoder.mask_decoder import MaskDecoder, MaskDecoderOutput, MaskPrediction

__all__ = ["MaskDecoder", "MaskDecoderOutput", "MaskPrediction"]
