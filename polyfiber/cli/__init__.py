"""The command line: a file of commands for each noun, which parses, calls one function of the library, and renders.

`app` gathers the commands; `options` and `grammar` say what may be written; `exits` maps errors to exit codes, `outputs`, `render` and `streams` print, `live` shows progress.
"""
