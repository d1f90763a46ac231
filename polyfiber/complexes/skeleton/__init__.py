"""The complex of a generic network as a graph: vertices, edges, and faces read off them.

`arrays` turns network and domain into flat arrays with error constants; `layout` says how vertices lie in memory;
`build` drives the kernels neuron by neuron. What floats cannot decide goes to `exact_signs` (rationals) or, many at a
time, to `integer_signs`. `orientation` gives every edge a direction, so that each face has one lowest vertex; `faces`
counts and writes faces from there.

`entering` signs all neurons of a layer at all vertices at once; `extremes` knows where products leave the range of
floats; `lifts` leads back from the quotient to inputs. Networks with slopes and skips come as `wires`; `slope_forms`
carries their forms on cells, `wired_values` their values.
"""
