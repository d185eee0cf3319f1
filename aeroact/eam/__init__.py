"""EAM, the atmosphere of E3SM: its history files, and states of the parcel from their layers.

`history` opens and checks files of the variables in `fields`, `blocks` reads their layers, and
`layers` makes states of them as E3SM's own activation would see them.  `netcdf` and `classic`
see to what can go wrong with a file.
"""
