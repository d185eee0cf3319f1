!> Shared libraries opened at run time, and the C strings that doing so involves.
module aeroact_dl
  use, intrinsic :: iso_c_binding, only: c_associated, c_char, c_f_pointer, c_funptr, c_int, &
    c_null_char, c_ptr, c_size_t
  implicit none
  private

  public :: dl_open, dl_symbol, dl_close, dl_error, c_string, f_string

  !> Resolve every symbol at once: a library that cannot work fails here and not in mid-run.
  integer(c_int), parameter :: RTLD_NOW = 2

  interface
    function c_dlopen(path, mode) bind(c, name='dlopen') result(handle)
      import :: c_char, c_int, c_ptr
      character(kind=c_char), intent(in) :: path(*)
      integer(c_int), value :: mode
      type(c_ptr) :: handle
    end function c_dlopen

    function c_dlsym(handle, name) bind(c, name='dlsym') result(symbol)
      import :: c_char, c_funptr, c_ptr
      type(c_ptr), value :: handle
      character(kind=c_char), intent(in) :: name(*)
      type(c_funptr) :: symbol
    end function c_dlsym

    function c_dlclose(handle) bind(c, name='dlclose') result(code)
      import :: c_int, c_ptr
      type(c_ptr), value :: handle
      integer(c_int) :: code
    end function c_dlclose

    function c_dlerror() bind(c, name='dlerror') result(message)
      import :: c_ptr
      type(c_ptr) :: message
    end function c_dlerror

    pure function c_strlen(string) bind(c, name='strlen') result(length)
      import :: c_ptr, c_size_t
      type(c_ptr), value :: string
      integer(c_size_t) :: length
    end function c_strlen
  end interface

contains

  !> Open a shared library; its symbols stay its own. A null handle says that it failed.
  function dl_open(path) result(handle)
    character(len=*), intent(in) :: path
      !! file, or a bare name for the loader to look up
    type(c_ptr) :: handle

    handle = c_dlopen(c_string(path), RTLD_NOW)
  end function dl_open

  !> The address of a function in an open library; null if there is none of that name.
  function dl_symbol(handle, name) result(symbol)
    type(c_ptr), intent(in) :: handle
    character(len=*), intent(in) :: name
    type(c_funptr) :: symbol

    symbol = c_dlsym(handle, c_string(name))
  end function dl_symbol

  !> Close a library.
  subroutine dl_close(handle)
    type(c_ptr), intent(in) :: handle
    integer(c_int) :: ignored

    ignored = c_dlclose(handle)
  end subroutine dl_close

  !> What the loader says about the last failure.
  function dl_error() result(message)
    character(len=:), allocatable :: message

    message = f_string(c_dlerror())
  end function dl_error

  !> A Fortran string as C wants it: no trailing blanks, a null at the end.
  pure function c_string(string) result(copy)
    character(len=*), intent(in) :: string
    character(kind=c_char, len=:), allocatable :: copy

    copy = trim(string)//c_null_char
  end function c_string

  !> A C string as a Fortran string; empty for a null pointer.
  recursive function f_string(string) result(copy)
    type(c_ptr), intent(in) :: string
    character(len=:), allocatable :: copy
    character(kind=c_char), pointer :: characters(:)
    integer :: i

    if (.not. c_associated(string)) then
      copy = ''
      return
    end if
    call c_f_pointer(string, characters, [c_strlen(string)])
    allocate (character(len=size(characters)) :: copy)
    do i = 1, size(characters)
      copy(i:i) = characters(i)
    end do
  end function f_string

end module aeroact_dl
