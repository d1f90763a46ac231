"""Canonical and breakpoint complexes of ReLU networks.

The nouns stand here: `complex` (faces, points, maps) and what it `answers` with, `geometry`, `polytopes`,
`certificate`, `archive`; `build` makes them, `feasibility` and `genericity` say beforehand what to expect, `metric`
measures, `merged` puts regions together where nothing bends between them; `containers`, `parquet_files` and `digests`
are what files are made of, `tables` are columns for others. Behind each noun is a room:

- ``skeleton``: vertices and edges of a generic network, cut neuron by neuron; ``lattice``: all faces, where it is not
  generic;
- ``breakpoints``: where the function bends, with weights; ``topology``: level sets, boundaries, homology;
- ``blocks``: a complex in parts, for counts and files beyond the memory;
- ``planar``: exact subdivisions of slices of large networks;
- ``local``: one region, a segment, a slice, without the whole; ``ranges``: certified ranges of neurons;
- ``checks``: the same facts by other code.

A network and a domain become flat arrays (`skeleton.arrays`), these a skeleton or a lattice, and these the tables of
faces that a `PolyhedralComplex` gives meaning to. Values stand below, builders above: `complex` knows neither `build`
nor the rooms that ask it, and its methods reach them by `_lazy.above`.
"""
