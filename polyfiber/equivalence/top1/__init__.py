"""Do two classifiers name the same class?

`decide` is the question, and answers over regions where they can be enumerated; `boxes` answers by bounds on boxes
where not.
"""
