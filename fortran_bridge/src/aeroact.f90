!> Neural emulators of aerosol activation in Fortran: `use aeroact` is all that a host model needs.
!!
!! Call `aeroact_init` once, `load` a model, `predict` as often as needed, then `free` it and call
!! `aeroact_finalize`. Every call returns a status and a sentence; none of them stops the program.
module aeroact
  use aeroact_emulators, only: AEROACT_MAX_MODELS
  use aeroact_files, only: aeroact_read_file
  use aeroact_models, only: aeroact_model, aeroact_workspace
  use aeroact_runtime, only: aeroact_finalize, aeroact_init
  use aeroact_schema, only: AEROACT_COLUMNS, AEROACT_NMODES, AEROACT_NSTATE, &
    AEROACT_SCHEMA_VERSION, AEROACT_UNITS
  use aeroact_status, only: AEROACT_COLUMNS_MISMATCH, AEROACT_ERRMSG_LEN, &
    AEROACT_INVALID_ARGUMENT, AEROACT_LIBRARY_INVALID, AEROACT_LIBRARY_NOT_FOUND, &
    AEROACT_LIBRARY_TOO_OLD, AEROACT_MODEL_INVALID, AEROACT_MODEL_NOT_FOUND, AEROACT_NO_COLUMNS, &
    AEROACT_NO_MEMORY, AEROACT_NO_METADATA, AEROACT_NO_NETCDF, AEROACT_NOT_BOUND, &
    AEROACT_NOT_CONTIGUOUS, AEROACT_NOT_FINITE, AEROACT_NOT_INITIALIZED, AEROACT_NOT_LOADED, &
    AEROACT_NOT_NATIVE, AEROACT_OK, AEROACT_OUT_OF_RANGE, AEROACT_RUNTIME_FAILED, &
    AEROACT_SCHEMA_VERSION_MISMATCH, AEROACT_SHAPE_MISMATCH, AEROACT_SIGNATURE_MISMATCH, &
    AEROACT_STATE_NOT_FINITE, AEROACT_TOO_MANY_MODELS
  implicit none
  public
end module aeroact
