"""Models of other libraries as ONNX graphs, for the reader of those.

`builder` makes a graph node by node; `torch_trace` watches one run of a module and translates it by `torch_operators`,
`torch_checks` refuses what a structure does not show and compares outputs; `keras_layers` translates configurations of
Keras.
"""
