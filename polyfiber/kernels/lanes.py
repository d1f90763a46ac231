"""Vectors of four or eight doubles and pairs of words in registers, and tests of sixteen integers at once.

Left to itself the compiler keeps the columns of an affine form in scalars: sums of unknown length may not be
reordered, and it does not see that columns can go side by side. These values say so; they map to whatever vector
registers the machine has. Arithmetic is IEEE, lane by lane; nothing is contracted.

Inside kernels only: a `Lanes` value cannot be passed to or returned from Python.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic, models, register_model

if numba.config.DISABLE_JIT:

    def _part(count: int) -> Any:
        def load(array: Any, index: Any) -> Any:
            part = array[int(index) : int(index) + count]
            return np.concatenate([part, np.zeros(count - len(part), dtype=array.dtype)])

        return load

    def _row(array: Any, row: Any, column: Any) -> Any:
        part = array[int(row), int(column) : int(column) + 8]
        return np.concatenate([part, np.zeros(8 - len(part))])

    load2, load4, load8, load_row8 = _part(2), _part(4), _part(8), _row

    def _bits(test: Any) -> Any:
        def bits(array: Any, index: Any, value: Any) -> int:
            part = array[int(index) : int(index) + 16]
            return sum(1 << i for i, entry in enumerate(part) if test(entry, value))

        return bits

    def above8(lanes: Any, other: Any) -> int:
        """Which of eight doubles exceed those of other lanes, as bits."""
        return sum(1 << i for i in range(8) if lanes[i] > other[i])

    equal16, reach16 = _bits(lambda entry, value: entry == value), _bits(lambda entry, value: entry >= value)

    def zero4() -> Any:
        """Four zeros."""
        return np.zeros(4)

    def zero8() -> Any:
        """Eight zeros."""
        return np.zeros(8)

    def store(array: Any, index: Any, lanes: Any) -> None:
        """Write all lanes to consecutive entries of a contiguous 1-D array."""
        array[int(index) : int(index) + len(lanes)] = lanes

    def pair(first: Any, second: Any) -> Any:
        """Two words."""
        return np.array([first, second], dtype=np.uint64)

    def either(lanes: Any, other: Any) -> Any:
        """Bits of one or the other."""
        return lanes | other

    def axpy(lanes: Any, factor: Any, other: Any) -> Any:
        """lanes + factor * other, rounded twice."""
        return lanes + factor * other

    def scaled(factor: Any, lanes: Any) -> Any:
        """factor * lanes."""
        return factor * lanes

    def plus(lanes: Any, other: Any) -> Any:
        """Sum."""
        return lanes + other

    def times(lanes: Any, other: Any) -> Any:
        """Product."""
        return lanes * other

    def magnitude(lanes: Any) -> Any:
        """Absolute values."""
        return np.abs(lanes)

    def total(lanes: Any) -> Any:
        """Sum of the lanes, halves first."""
        while len(lanes) > 1:
            half = len(lanes) // 2
            lanes = lanes[:half] + lanes[half:]
        return float(lanes[0])

    def signs8(array: Any, index: Any) -> Any:
        """Eight consecutive int8 as doubles."""
        return np.asarray(array[int(index) : int(index) + 8], dtype=np.float64)

    def where8(bits: Any, lanes: Any) -> Any:
        """Those of eight lanes whose bit is set, zeros elsewhere."""
        return np.where((int(bits) >> np.arange(8)) & 1, lanes, 0.0)

    def first_of(lanes: Any, count: Any, following: Any) -> Any:
        """The first ``count`` lanes, then ``following``, then zeros."""
        at = np.arange(len(lanes))
        return np.where(at < count, lanes, np.where(at == count, following, 0.0))

else:

    class Lanes(types.Type):
        """A vector of doubles or of words of 64 bits."""

        def __init__(self, count: int, entry: ir.Type) -> None:
            self.count = count
            self.vector = ir.VectorType(entry, count)
            super().__init__(name=f"Lanes({count} x {entry})")

    @register_model(Lanes)
    class LanesModel(models.PrimitiveModel):
        """A register."""

        def __init__(self, manager: Any, lanes: Any) -> None:
            super().__init__(manager, lanes, lanes.vector)

    FOUR, EIGHT, PAIR = Lanes(4, ir.DoubleType()), Lanes(8, ir.DoubleType()), Lanes(2, ir.IntType(64))

    def _splat(builder: Any, value: Any, count: int) -> Any:
        undefined = ir.Constant(ir.VectorType(value.type, count), ir.Undefined)
        first = builder.insert_element(undefined, value, ir.Constant(ir.IntType(32), 0))
        return builder.shuffle_vector(first, undefined, _indices([0] * count))

    def _indices(values: list[int]) -> Any:
        return ir.Constant(ir.VectorType(ir.IntType(32), len(values)), values)

    def _constant(lanes: Any, value: float) -> Any:
        return ir.Constant(ir.VectorType(ir.DoubleType(), lanes.count), [value] * lanes.count)

    def _read(builder: Any, pointer: Any, lanes: Any) -> Any:
        value = builder.load(builder.bitcast(pointer, lanes.vector.as_pointer()))
        value.align = 8
        return value

    def _load(lanes: Lanes) -> Any:
        @intrinsic
        def load(typing_context, array, index):
            """Consecutive entries of a contiguous 1-D array, all of which must exist."""

            def codegen(context, builder, signature, args):
                data = context.make_array(signature.args[0])(context, builder, args[0]).data
                return _read(builder, builder.gep(data, [args[1]]), lanes)

            return lanes(array, types.uint64), codegen

        return load

    def _zero(lanes: Lanes) -> Any:
        @intrinsic
        def zero(typing_context):
            """All lanes zero."""
            return lanes(), lambda context, builder, signature, args: _constant(lanes, 0.0)

        return zero

    load2, load4, load8, zero4, zero8 = _load(PAIR), _load(FOUR), _load(EIGHT), _zero(FOUR), _zero(EIGHT)

    def _test(relation: str) -> Any:
        @intrinsic
        def bits(typing_context, array, index, value):
            """Which of sixteen consecutive int32, all of which must exist, stand in a relation to a value: as bits."""

            def codegen(context, builder, signature, args):
                data = context.make_array(signature.args[0])(context, builder, args[0]).data
                vector = ir.VectorType(ir.IntType(32), 16)
                entries = builder.load(builder.bitcast(builder.gep(data, [args[1]]), vector.as_pointer()))
                entries.align = 4
                found = builder.icmp_signed(relation, entries, _splat(builder, args[2], 16))
                return builder.zext(builder.bitcast(found, ir.IntType(16)), ir.IntType(64))

            return types.uint64(array, types.uint64, types.int32), codegen

        return bits

    equal16, reach16 = _test("=="), _test(">=")

    @intrinsic
    def above8(typing_context, lanes, other):
        """Which of eight doubles exceed those of other lanes, as bits."""

        def codegen(context, builder, signature, args):
            found = builder.fcmp_ordered(">", *args)
            return builder.zext(builder.bitcast(found, ir.IntType(8)), ir.IntType(64))

        return types.uint64(lanes, other), codegen

    @intrinsic
    def load_row8(typing_context, array, row, column):
        """Eight doubles of a row of a 2-D array, also past its end: they must belong to the memory."""

        def codegen(context, builder, signature, args):
            view = context.make_array(signature.args[0])(context, builder, args[0])
            stride = cgutils.unpack_tuple(builder, view.strides, 2)[0]
            start = builder.bitcast(view.data, ir.IntType(8).as_pointer())
            offset = builder.add(builder.mul(stride, args[1]), builder.shl(args[2], ir.Constant(ir.IntType(64), 3)))
            return _read(builder, builder.gep(start, [offset]), EIGHT)

        return EIGHT(array, types.int64, types.int64), codegen

    @intrinsic
    def store(typing_context, array, index, lanes):
        """Write all lanes to consecutive entries of a contiguous 1-D array."""

        def codegen(context, builder, signature, args):
            data = context.make_array(signature.args[0])(context, builder, args[0]).data
            pointer = builder.gep(data, [args[1]])
            builder.store(args[2], builder.bitcast(pointer, args[2].type.as_pointer())).align = 8
            return context.get_dummy_value()

        return types.none(array, types.uint64, lanes), codegen

    @intrinsic
    def pair(typing_context, first, second):
        """Two words."""

        def codegen(context, builder, signature, args):
            value = ir.Constant(PAIR.vector, ir.Undefined)
            for i, word in enumerate(args):
                value = builder.insert_element(value, word, ir.Constant(ir.IntType(32), i))
            return value

        return PAIR(types.uint64, types.uint64), codegen

    @intrinsic
    def either(typing_context, lanes, other):
        """Bits of one or the other."""
        return lanes(lanes, other), lambda context, builder, signature, args: builder.or_(*args)

    @intrinsic
    def axpy(typing_context, lanes, factor, other):
        """lanes + factor * other, rounded twice."""

        def codegen(context, builder, signature, args):
            return builder.fadd(args[0], builder.fmul(_splat(builder, args[1], lanes.count), args[2]))

        return lanes(lanes, types.float64, other), codegen

    @intrinsic
    def scaled(typing_context, factor, lanes):
        """factor * lanes."""

        def codegen(context, builder, signature, args):
            return builder.fmul(_splat(builder, args[0], lanes.count), args[1])

        return lanes(types.float64, lanes), codegen

    @intrinsic
    def plus(typing_context, lanes, other):
        """Sum."""
        return lanes(lanes, other), lambda context, builder, signature, args: builder.fadd(*args)

    @intrinsic
    def times(typing_context, lanes, other):
        """Product."""
        return lanes(lanes, other), lambda context, builder, signature, args: builder.fmul(*args)

    @intrinsic
    def magnitude(typing_context, lanes):
        """Absolute values."""

        def codegen(context, builder, signature, args):
            bits = ir.VectorType(ir.IntType(64), lanes.count)
            clear = ir.Constant(bits, [2**63 - 1] * lanes.count)
            return builder.bitcast(builder.and_(builder.bitcast(args[0], bits), clear), args[0].type)

        return lanes(lanes), codegen

    @intrinsic
    def total(typing_context, lanes):
        """Sum of the lanes, halves first."""

        def codegen(context, builder, signature, args):
            value, count = args[0], lanes.count
            while count > 1:
                count //= 2
                low, high = list(range(count)), list(range(count, 2 * count))
                parts = [builder.shuffle_vector(value, value, _indices(part)) for part in (low, high)]
                value = builder.fadd(*parts)
            return builder.extract_element(value, ir.Constant(ir.IntType(32), 0))

        return types.float64(lanes), codegen

    @intrinsic
    def signs8(typing_context, array, index):
        """Eight consecutive int8 of a contiguous 1-D array, all of which must exist, as doubles."""

        def codegen(context, builder, signature, args):
            data = context.make_array(signature.args[0])(context, builder, args[0]).data
            vector = ir.VectorType(ir.IntType(8), 8)
            signs = builder.load(builder.bitcast(builder.gep(data, [args[1]]), vector.as_pointer()))
            signs.align = 1
            return builder.sitofp(signs, EIGHT.vector)

        return EIGHT(array, types.uint64), codegen

    @intrinsic
    def where8(typing_context, bits, lanes):
        """Those of eight lanes whose bit is set (the lowest bits of a word), zeros elsewhere."""

        def codegen(context, builder, signature, args):
            low = builder.trunc(args[0], ir.IntType(8))
            mask = builder.bitcast(low, ir.VectorType(ir.IntType(1), 8))
            return builder.select(mask, args[1], _constant(lanes, 0.0))

        return lanes(types.uint64, lanes), codegen

    @intrinsic
    def first_of(typing_context, lanes, count, following):
        """The first ``count`` lanes, then ``following``, then zeros."""

        def codegen(context, builder, signature, args):
            at = ir.Constant(ir.VectorType(ir.IntType(64), lanes.count), list(range(lanes.count)))
            wanted = _splat(builder, args[1], lanes.count)
            rest = builder.select(
                builder.icmp_signed("==", at, wanted), _splat(builder, args[2], lanes.count), _constant(lanes, 0.0)
            )
            return builder.select(builder.icmp_signed("<", at, wanted), args[0], rest)

        return lanes(lanes, types.int64, types.float64), codegen
