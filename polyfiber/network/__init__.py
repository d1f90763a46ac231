"""Networks as values: parameters, evaluation, files, moves.

`model` is the chain that the theory is about, `piecewise` a network of gates with slopes and skips; `emulation` turns
the second into the first. Files come in by ``readers``: each gives a chain of affine steps and ReLUs, `folding`
multiplies the steps out exactly and rounds once. `writers` is the way back. `moves` are the changes that keep the
function; `summary` prints; `float_or_rational` and `exact_pieces` do arithmetic on either kind of parameter. `wiring`
leads from the nodes of a file to a network, `relu_form` from any network to ReLU gates, `fixed_gates` takes out gates
whose side is known, `sparse` matrices keep their nonzeros; `onnx_writer` writes graphs, `names` of files are looked
at before use.
"""
