"""Parameters in normal form: `canonical` in floats with a bound of its noise, `exact` in rationals.

`distance` compares two forms, `shared_features` compares layers of networks whose forms need not agree.
"""
