"""The models that ship with the package, as ONNX files with their contract inside, each beside its model card."""
