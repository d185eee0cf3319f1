!> The part of the schema that a caller in Fortran needs: the arrays' widths and the version.
module aeroact_schema
  implicit none
  private

  integer, parameter, public :: AEROACT_NSTATE = 16
    !! Rows of the state: tair (K), pressure (hPa), rh (1), wbar (cm s-1),
    !! then num_aer (cm-3), r_aer (um) and kappa (1) of the four modes.
  integer, parameter, public :: AEROACT_NMODES = 4
    !! Rows of the activated fraction `fn`: accumulation, Aitken, coarse, primary carbon.
  character(len=*), parameter, public :: AEROACT_SCHEMA_VERSION = '1'
    !! The schema version that a model must state in its metadata.

end module aeroact_schema
