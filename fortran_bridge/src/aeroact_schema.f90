!> The part of the schema that a caller in Fortran needs: widths, columns, units and the version.
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

  character(len=*), parameter, public :: AEROACT_COLUMNS(AEROACT_NSTATE) = [character(len=15) :: &
    'tair', 'pressure', 'rh', 'wbar', &
    'num_aer_accum', 'num_aer_aitken', 'num_aer_coarse', 'num_aer_pcarbon', &
    'r_aer_accum', 'r_aer_aitken', 'r_aer_coarse', 'r_aer_pcarbon', &
    'kappa_accum', 'kappa_aitken', 'kappa_coarse', 'kappa_pcarbon']
    !! Names of the rows of the state, in order.
  character(len=*), parameter, public :: AEROACT_UNITS(AEROACT_NSTATE) = [character(len=6) :: &
    'K', 'hPa', '1', 'cm s-1', 'cm-3', 'cm-3', 'cm-3', 'cm-3', 'um', 'um', 'um', 'um', &
    '1', '1', '1', '1']
    !! Their units.

end module aeroact_schema
