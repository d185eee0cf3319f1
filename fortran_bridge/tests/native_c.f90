!> The native network behind C functions, for benchmarks and tests that call it from Python.
module native_c
  use, intrinsic :: iso_c_binding, only: c_associated, c_f_pointer, c_float, c_int, c_loc, &
    c_null_ptr, c_ptr
  use aeroact_native, only: native_create, native_network, native_predict, native_workspace
  use aeroact_schema, only: AEROACT_NMODES, AEROACT_NSTATE
  use aeroact_status, only: AEROACT_OK
  implicit none
  private

  public :: aeroact_native_create, aeroact_native_free, aeroact_native_predict

  !> A network with the scratch of the one thread that uses it.
  type :: handle
    type(native_network) :: network
    type(native_workspace) :: workspace
  end type handle

contains

  !> Make a network, or return NULL.
  function aeroact_native_create(n_layers, widths, weights, clip_low, clip_high, is_log, floor, &
    mean, std) result(pointer) bind(c)
    integer(c_int), value :: n_layers
    integer(c_int), intent(in) :: widths(n_layers + 1)
    real(c_float), intent(in) :: weights(sum((widths(:n_layers) + 1)*widths(2:)))
    real(c_float), dimension(AEROACT_NSTATE), intent(in) :: clip_low, clip_high, floor, mean, std
    integer(c_int), intent(in) :: is_log(AEROACT_NSTATE)
    type(c_ptr) :: pointer

    type(handle), pointer :: created
    integer :: stat

    pointer = c_null_ptr
    allocate (created, stat=stat)
    if (stat /= 0) return
    call native_create(created%network, int(widths), weights, clip_low, clip_high, is_log /= 0, &
      floor, mean, std, stat)
    if (stat == AEROACT_OK) then
      pointer = c_loc(created)
    else
      deallocate (created)
    end if
  end function aeroact_native_create

  !> Predict fn(n, 4) for x(n, 16), both in C's order; returns a status.
  function aeroact_native_predict(pointer, n, x, fn) result(status) bind(c)
    type(c_ptr), value :: pointer
    integer(c_int), value :: n
    real(c_float), intent(in) :: x(AEROACT_NSTATE, n)
    real(c_float), intent(inout) :: fn(AEROACT_NMODES, n)
    integer(c_int) :: status

    type(handle), pointer :: used
    integer :: stat

    call c_f_pointer(pointer, used)
    call native_predict(used%network, used%workspace, x, fn, stat)
    status = int(stat, c_int)
  end function aeroact_native_predict

  !> Release a network; NULL is none.
  subroutine aeroact_native_free(pointer) bind(c)
    type(c_ptr), value :: pointer

    type(handle), pointer :: freed

    if (.not. c_associated(pointer)) return
    call c_f_pointer(pointer, freed)
    deallocate (freed)
  end subroutine aeroact_native_free

end module native_c
