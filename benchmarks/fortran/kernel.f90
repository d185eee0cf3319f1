!> The native kernel alone, as a contender of benchmarks/fortran.py.
module contender
  use, intrinsic :: iso_c_binding, only: c_char, c_f_pointer, c_float, c_int, c_loc, c_null_ptr, &
    c_ptr
  use, intrinsic :: iso_fortran_env, only: error_unit
  use aeroact_native, only: native_create, native_network, native_predict, native_workspace
  use aeroact_status, only: AEROACT_ERRMSG_LEN, AEROACT_OK
  use network_file, only: plain_network, read_network
  implicit none
  private

  public :: contender_prepare, contender_repeat

  type :: prepared
    type(native_network) :: network
    type(native_workspace) :: workspace
    real(c_float), pointer, contiguous :: x(:, :), fn(:, :)
  end type prepared

contains

  function contender_prepare(model, n, x, fn) result(pointer) bind(c)
    character(kind=c_char), intent(in) :: model(*)
    integer(c_int), value :: n
    type(c_ptr), value :: x, fn
    type(c_ptr) :: pointer

    character(len=AEROACT_ERRMSG_LEN) :: errmsg
    type(plain_network) :: plain
    type(prepared), pointer :: created
    integer :: stat
    logical :: found

    pointer = c_null_ptr
    call read_network(model, plain, found)
    if (.not. found) return
    allocate (created)
    call native_create(created%network, int(plain%widths), plain%weights, plain%low, plain%high, &
      plain%is_log /= 0, plain%floor, plain%mean, plain%std, stat, errmsg)
    if (stat /= AEROACT_OK) then
      write (error_unit, '(a)') trim(errmsg)
      return
    end if
    call c_f_pointer(x, created%x, [16, int(n)])
    call c_f_pointer(fn, created%fn, [4, int(n)])
    pointer = c_loc(created)
  end function contender_prepare

  function contender_repeat(pointer, calls) result(status) bind(c)
    type(c_ptr), value :: pointer
    integer(c_int), value :: calls
    integer(c_int) :: status

    type(prepared), pointer :: used
    integer :: call_number, stat

    call c_f_pointer(pointer, used)
    status = 0
    do call_number = 1, calls
      call native_predict(used%network, used%workspace, used%x, used%fn, stat)
      if (stat /= AEROACT_OK) status = int(stat, c_int)
    end do
  end function contender_repeat

end module contender
