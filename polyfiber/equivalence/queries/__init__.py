"""Questions as others write them: statements about inputs and outputs of one or two networks, asked of the search over
boxes.

Rooms: `formulas` holds linear statements in rationals and their normal form, `vnnlib` reads query files, `prove`
answers them.
"""
