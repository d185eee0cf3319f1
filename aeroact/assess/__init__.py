"""How far an emulator is to be believed: more than a mean error on a holdout.

Errors by decile, droplet number, the worst state that an optimizer can find, monotony,
smoothness, limits, and columns of a climate model.  Each file here measures one of these against
the parcel model; `assessment` does all of it.
"""
