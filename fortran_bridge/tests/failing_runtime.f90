!> A shared library that is ONNX Runtime but for one function, of which one call fails or all take
!! long.
!!
!! It opens the library that `$AEROACT_ORT_LIB` names and hands out a copy of its table of
!! functions, in which `fail_slot` or `slow_slot` replaces one.
module failing_runtime
  use, intrinsic :: iso_c_binding, only: c_char, c_f_pointer, c_f_procpointer, c_funloc, c_funptr, &
    c_int, c_int32_t, c_intptr_t, c_loc, c_null_char, c_ptr
  use, intrinsic :: iso_fortran_env, only: int64
  use aeroact_dl, only: dl_open, dl_symbol
  implicit none
  private

  public :: fail_slot, slow_slot, get_api_base

  integer, parameter :: CREATE_STATUS = 0
  integer, parameter :: last_slot = 200

  type, bind(c) :: api_base
    type(c_funptr) :: get_api, get_version_string
  end type api_base

  abstract interface
    function get_api_base_i() bind(c) result(address)
      import :: c_ptr
      type(c_ptr) :: address
    end function get_api_base_i

    function get_api_i(wanted) bind(c) result(table)
      import :: c_int32_t, c_ptr
      integer(c_int32_t), value :: wanted
      type(c_ptr) :: table
    end function get_api_i

    function create_status_i(code, message) bind(c) result(status)
      import :: c_char, c_int, c_ptr
      integer(c_int), value :: code
      character(kind=c_char), intent(in) :: message(*)
      type(c_ptr) :: status
    end function create_status_i

    function any_function_i(a, b, c, d, e, f, g, h) bind(c) result(status)
      import :: c_intptr_t, c_ptr
      integer(c_intptr_t), value :: a, b, c, d, e, f, g, h
      type(c_ptr) :: status
    end function any_function_i
  end interface

  type(api_base), target, save :: base
  type(api_base), pointer, save :: real_base => null()
  type(c_funptr), target, save :: slots(0:last_slot)
  type(c_funptr), save :: real_slot
  integer, save :: failing = -1, calls_left = 0, milliseconds = 0
  procedure(create_status_i), pointer, save :: create => null()

contains

  !> From the next look at the table on, this call of this slot fails; slot -1 is none.
  subroutine fail_slot(slot, call_number) bind(c, name='fail_slot')
    integer(c_int), value :: slot, call_number

    failing = slot
    calls_left = call_number
    milliseconds = 0
  end subroutine fail_slot

  !> From the next look at the table on, each call of this slot takes so much longer.
  subroutine slow_slot(slot, longer) bind(c, name='slow_slot')
    integer(c_int), value :: slot, longer

    failing = slot
    calls_left = 0  ! none fails
    milliseconds = longer
  end subroutine slow_slot

  function get_api_base() bind(c, name='OrtGetApiBase') result(address)
    type(c_ptr) :: address

    procedure(get_api_base_i), pointer :: real_get_api_base
    character(len=4096) :: path

    call get_environment_variable('AEROACT_ORT_LIB', path)
    call c_f_procpointer(dl_symbol(dl_open(path), 'OrtGetApiBase'), real_get_api_base)
    call c_f_pointer(real_get_api_base(), real_base)
    base = api_base(c_funloc(get_api), real_base%get_version_string)
    address = c_loc(base)
  end function get_api_base

  function get_api(wanted) bind(c, name='failing_get_api') result(table)
    integer(c_int32_t), value :: wanted
    type(c_ptr) :: table

    procedure(get_api_i), pointer :: real_get_api
    type(c_funptr), pointer :: real_slots(:)

    call c_f_procpointer(real_base%get_api, real_get_api)
    table = real_get_api(wanted)
    call c_f_pointer(table, real_slots, [last_slot + 1])
    slots = real_slots
    call c_f_procpointer(slots(CREATE_STATUS), create)
    if (failing >= 0) then
      real_slot = slots(failing)
      slots(failing) = c_funloc(fails)
    end if
    table = c_loc(slots)
  end function get_api

  !> What stands for the function: it hands on every call but one.
  !!
  !! No function of the table takes more than eight arguments, all of them integers or addresses.
  !! Those that were not given are handed on as whatever they are; nobody looks at them.
  function fails(a, b, c, d, e, f, g, h) bind(c, name='failing_function') result(status)
    integer(c_intptr_t), value :: a, b, c, d, e, f, g, h
    type(c_ptr) :: status

    procedure(any_function_i), pointer :: real_function
    integer(int64) :: now, rate, start

    call system_clock(start, rate)
    do
      call system_clock(now)
      if (1000*(now - start) >= milliseconds*rate) exit
    end do
    calls_left = calls_left - 1
    if (calls_left == 0) then
      status = create(1_c_int, 'made to fail'//c_null_char)
    else
      call c_f_procpointer(real_slot, real_function)
      status = real_function(a, b, c, d, e, f, g, h)
    end if
  end function fails

end module failing_runtime
