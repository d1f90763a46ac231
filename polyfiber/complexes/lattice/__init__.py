"""The complex of any network, generic or not, as the lattice of all its faces.

`build` cuts every face by one wall after the other, with exact signs where floats cannot tell; `store` hands the
faces out in the form of `skeleton.faces`; `check` looks at the finished lattice, `archive` puts it into files.
`merge_walls` comes before all this: it takes nearly equal neurons for one wall where the caller says so. `everywhere`
adds walls that no gate reads where flat walls leave directions uncut, and takes them away again.
"""
