!> `weights.nc` where the library is built without netCDF-Fortran: a sentence that says so.
!!
!! With it, `netcdf/aeroact_weights.f90` is built in place of this file.
module aeroact_weights
  use aeroact_emulators, only: emulator
  use aeroact_status, only: AEROACT_NO_NETCDF, fail
  implicit none
  private

  public :: read_weights

contains

  !> Say that the file cannot be read.
  subroutine read_weights(path, read, stat, errmsg)
    character(len=*), intent(in) :: path
    type(emulator), intent(out) :: read
    integer, intent(out) :: stat
      !! `AEROACT_NO_NETCDF`
    character(len=*), intent(out), optional :: errmsg

    read%name = path
    call fail(AEROACT_NO_NETCDF, "'"//path//"' cannot be read: the library was built without &
      &netCDF-Fortran. Load the emulator.onnx beside it, with backend 'native' if ONNX Runtime is &
      &not to be used.", stat, errmsg)
  end subroutine read_weights

end module aeroact_weights
