"""Aerosol activation from first principles: Koehler theory, a parcel model and ARG2000.

`constants` holds the physical constants and validity bounds, `activation` the result and its
status codes, `koehler` the equilibrium of one particle with its vapour, `parcel` the adiabatic
cloud parcel model (through `bins`, `ascent`, `rosenbrock` and `thermo`), `kinetic` its second
label, `trajectory` the record of one ascent, and `arg2000` the parameterization that E3SM uses.
Nothing here knows of datasets or of machine learning.
"""
