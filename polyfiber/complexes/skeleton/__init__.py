"""The complex of a generic network as a graph: vertices, edges, and faces read off them.

`arrays` turns network and domain into flat arrays with error constants; `layout` says how vertices lie in memory; `build`
drives the kernels neuron by neuron. What floats cannot decide goes to `exact_signs` (rationals) or, many at a time, to
`integer_signs`. `orientation` gives every edge a direction, so that each face has one lowest vertex; `faces` counts and writes
faces from there.
"""
