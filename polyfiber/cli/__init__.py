"""The command line: a file of commands for each noun, which parses, calls one function of the library, and renders.

`app` gathers the commands; `options` and `grammar` say what may be written; `exits` maps errors to exit codes, `outputs`, `render` and `streams` print, `live` shows progress.

Commands stand by what they are about: `complexes`, `topology` (level sets and boundaries), `regions` (networks too
large to enumerate), `equivalence`, `prove` (queries of VNN-LIB), `fibers`, `strata` (linear networks), `datasets`,
and `verify`, which checks evidence and writes reports.
"""
