"""The command line: a file of commands for each noun, which parses, calls one function of the library, and renders.

`app` gathers the commands; `exits` maps errors to exit codes, `outputs`, `render` and `streams` print, `live` shows progress.
"""
