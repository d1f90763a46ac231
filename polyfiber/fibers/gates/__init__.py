"""What is asked of networks of gates instead of their fibers, which no theorem describes.

`findings` says which gates never switch, are unused, copies, or do not show; `jacobians` gives the derivatives of
affine pieces by the parameters, from whose rank `fibers.dimension` reads the functional dimension.
"""
