"""What every public function does with values at its door.

`checked` looks at arguments where they come in, so that one clear error says what does not fit; `read_only` gives out
arrays that are kept too, such that nobody can write to them.
"""
