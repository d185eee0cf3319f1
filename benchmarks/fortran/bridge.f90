!> The library as a host calls it, as a contender of benchmarks/fortran.py.
module contender
  use, intrinsic :: iso_c_binding, only: c_char, c_f_pointer, c_float, c_int, c_loc, c_null_ptr, &
    c_ptr
  use, intrinsic :: iso_fortran_env, only: error_unit
  use aeroact, only: AEROACT_ERRMSG_LEN, AEROACT_OK, aeroact_init, aeroact_model, aeroact_workspace
  use network_file, only: text
  implicit none
  private

  public :: contender_prepare, contender_repeat

  type :: prepared
    type(aeroact_model) :: model
    type(aeroact_workspace) :: workspace
    real(c_float), pointer, contiguous :: x(:, :), fn(:, :)
    logical :: by_predict
  end type prepared

contains

  !> Load a model; `call` says by which call it is to predict, `run` or `predict`.
  function contender_prepare(model, n, x, fn, library, backend, call) result(pointer) bind(c)
    character(kind=c_char), intent(in) :: model(*), library(*), backend(*), call(*)
    integer(c_int), value :: n
    type(c_ptr), value :: x, fn
    type(c_ptr) :: pointer

    character(len=AEROACT_ERRMSG_LEN) :: errmsg
    type(prepared), pointer :: created
    integer :: stat

    pointer = c_null_ptr
    allocate (created)
    created%by_predict = text(call) == 'predict'
    call c_f_pointer(x, created%x, [16, int(n)])
    call c_f_pointer(fn, created%fn, [4, int(n)])
    call aeroact_init(stat, errmsg, text(library))
    if (stat == AEROACT_OK) call created%model%load(text(model), stat, errmsg, &
      backend=text(backend))
    if (stat == AEROACT_OK) call created%workspace%bind(created%model, created%x, created%fn, &
      stat, errmsg)
    if (stat == AEROACT_OK) then
      pointer = c_loc(created)
    else
      write (error_unit, '(a)') trim(errmsg)
    end if
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
      if (used%by_predict) then
        call used%model%predict(used%x, used%fn, stat)
      else
        call used%model%run(used%workspace, stat)
      end if
      if (stat /= AEROACT_OK) status = int(stat, c_int)
    end do
  end function contender_repeat

end module contender
