"""Kernels of fibers, each over many networks at once.

`canonical` brings networks to normal forms and compares them, `batches` finds equal ones by sorted keys, `spread` says
how far forms carry; `labels` and `regime` read signs, ranks and margins of genericity; `cones` decides whether rows
span a pointed cone; `jacobians` gives derivatives modulo a prime.
"""
