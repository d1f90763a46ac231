"""What may be written on the command line, one grammar for all commands.

`choices` are the values of options that are words, each a class, so that help, completion and parser have one list; `parsing` reads
the texts of domains, points, widths and levels; `inputs` restricts files to the slices that options name.
"""
