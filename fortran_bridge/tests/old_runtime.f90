!> A shared library that answers as ONNX Runtime 1.19.2 does when asked for a later interface.
module old_runtime
  use, intrinsic :: iso_c_binding, only: c_char, c_funloc, c_funptr, c_int32_t, c_loc, &
    c_null_char, c_null_ptr, c_ptr
  implicit none
  private

  public :: get_api_base

  type, bind(c) :: api_base
    type(c_funptr) :: get_api, get_version_string
  end type api_base

  type(api_base), target, save :: base
  character(kind=c_char), target, save :: version(7) = ['1', '.', '1', '9', '.', '2', c_null_char]

contains

  function get_api_base() bind(c, name='OrtGetApiBase') result(address)
    type(c_ptr) :: address

    base = api_base(c_funloc(get_api), c_funloc(get_version_string))
    address = c_loc(base)
  end function get_api_base

  function get_api(wanted) bind(c, name='old_get_api') result(table)
    integer(c_int32_t), value :: wanted
    type(c_ptr) :: table

    table = c_null_ptr
    if (wanted <= 19) table = c_loc(base)  ! anything but null; nobody may call through it
  end function get_api

  function get_version_string() bind(c, name='old_get_version_string') result(address)
    type(c_ptr) :: address

    address = c_loc(version)
  end function get_version_string

end module old_runtime
