"""Fibers of wide and deep networks: what layers do on the image of the layers before them.

`activity` says which neurons are active together, `directions` names the directions in which parameters move without
changing the function, `local` bounds the dimension of the fiber from both sides, `free` draws points of it and
`relatives` makes networks with planted roles. `answer` is what a classifier says where no theorem applies; `hull` is
the image of layer 1, at any width.
"""
