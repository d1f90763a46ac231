"""Answers confirmed another way: `recheck` by other proofs, `sample` at points, `bounds` by another relaxation.

Each says what it shares with the answer that it checks.
"""
