"""Graphs of other libraries as ONNX graphs, for the reader of those: torch modules by ``torch.fx``, Keras configurations."""
