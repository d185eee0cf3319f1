!> What every call answers: a status, and a sentence that says what happened and what to do.
module aeroact_status
  implicit none
  private

  integer, parameter, public :: AEROACT_OK = 0
    !! The call did what it was asked to do.
  integer, parameter, public :: AEROACT_LIBRARY_NOT_FOUND = 1
    !! No ONNX Runtime library where it was looked for.
  integer, parameter, public :: AEROACT_LIBRARY_INVALID = 2
    !! The file is there, but it cannot be loaded or is not ONNX Runtime.
  integer, parameter, public :: AEROACT_LIBRARY_TOO_OLD = 3
    !! This ONNX Runtime is older than 1.20.
  integer, parameter, public :: AEROACT_NOT_INITIALIZED = 4
    !! `aeroact_init` has not been called, or did not succeed.
  integer, parameter, public :: AEROACT_MODEL_NOT_FOUND = 5
    !! There is no file at the model's path.
  integer, parameter, public :: AEROACT_MODEL_INVALID = 6
    !! The file or the bytes are not an ONNX model, or not a whole one.
  integer, parameter, public :: AEROACT_SIGNATURE_MISMATCH = 7
    !! The model's input or output is not the schema's.
  integer, parameter, public :: AEROACT_SCHEMA_VERSION_MISMATCH = 8
    !! The model states no schema version, or another one.
  integer, parameter, public :: AEROACT_NOT_LOADED = 9
    !! The model has not been loaded, or has been freed.
  integer, parameter, public :: AEROACT_SHAPE_MISMATCH = 10
    !! The arrays handed to `predict` or `bind` do not have the schema's shape.
  integer, parameter, public :: AEROACT_NOT_FINITE = 11
    !! Of some columns the prediction holds a NaN or an infinity; `y` is filled all the same.
  integer, parameter, public :: AEROACT_NO_METADATA = 12
    !! The model's metadata has no such key.
  integer, parameter, public :: AEROACT_INVALID_ARGUMENT = 13
    !! An argument has a value that makes no sense.
  integer, parameter, public :: AEROACT_TOO_MANY_MODELS = 14
    !! As many models are loaded as can be at once; some are to be freed first.
  integer, parameter, public :: AEROACT_NO_MEMORY = 15
    !! Memory for a copy of the arrays could not be had.
  integer, parameter, public :: AEROACT_RUNTIME_FAILED = 16
    !! ONNX Runtime reported a failure of its own.
  integer, parameter, public :: AEROACT_COLUMNS_MISMATCH = 17
    !! The model's columns are not the schema's, or are in another order or other units.
  integer, parameter, public :: AEROACT_NOT_CONTIGUOUS = 18
    !! The arrays handed to `predict` or `bind` do not lie in one piece.
  integer, parameter, public :: AEROACT_NO_COLUMNS = 19
    !! There is no column to predict.
  integer, parameter, public :: AEROACT_STATE_NOT_FINITE = 20
    !! The states of some columns hold a NaN or an infinity; their `y` is NaN, the others are
    !! filled.
  integer, parameter, public :: AEROACT_OUT_OF_RANGE = 21
    !! Of some columns the prediction is no fraction; `y` is filled all the same.
  integer, parameter, public :: AEROACT_NOT_BOUND = 22
    !! The workspace is not bound to arrays, or is bound for another model.
  integer, parameter, public :: AEROACT_NOT_NATIVE = 23
    !! The network is not one that the native backend evaluates.
  integer, parameter, public :: AEROACT_NO_NETCDF = 24
    !! The library was built without netCDF-Fortran and cannot read `weights.nc`.

  integer, parameter, public :: AEROACT_ERRMSG_LEN = 512
    !! A length that holds a sentence with a usual path; a shorter `errmsg` cuts it off.

  public :: succeed, fail, decimal

contains

  !> Report success: no status, no sentence.
  pure recursive subroutine succeed(stat, errmsg)
    integer, intent(out) :: stat
      !! `AEROACT_OK`
    character(len=*), intent(out), optional :: errmsg
      !! blank

    stat = AEROACT_OK
    if (present(errmsg)) errmsg = ''
  end subroutine succeed

  !> Report a failure.
  pure recursive subroutine fail(code, sentence, stat, errmsg)
    integer, intent(in) :: code
      !! one of the parameters above
    character(len=*), intent(in) :: sentence
      !! what happened and what to do
    integer, intent(out) :: stat
      !! `code`
    character(len=*), intent(out), optional :: errmsg
      !! `sentence`

    stat = code
    if (present(errmsg)) errmsg = sentence
  end subroutine fail

  !> An integer for a sentence, in as few characters as it takes.
  pure recursive function decimal(number) result(text)
    integer, intent(in) :: number
      !! any
    character(len=:), allocatable :: text
      !! its digits

    character(len=20) :: buffer

    write (buffer, '(i0)') number
    text = trim(buffer)
  end function decimal

end module aeroact_status
