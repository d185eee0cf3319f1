!> One evaluation of an emulator: by the backend that is to do it, and what came of it.
module aeroact_evaluation
  use, intrinsic :: iso_c_binding, only: c_associated, c_char, c_int64_t, c_loc, c_null_char, &
    c_null_ptr, c_ptr, c_size_t
  use, intrinsic :: iso_fortran_env, only: real32
  use aeroact_emulators, only: BATCHES, emulator
  use aeroact_floats, only: all_finite, all_fractions, quiet_nan
  use aeroact_native, only: native_predict, native_prepare, native_workspace
  use aeroact_ort, only: ORT_FLOAT32, ort_bind_input, ort_bind_output, ort_check, &
    ort_create_binding, ort_create_tensor, ort_release_binding, ort_release_tensor, ort_run, &
    ort_run_with_binding
  use aeroact_runtime, only: ort_env, ort_memory
  use aeroact_schema, only: AEROACT_NMODES, AEROACT_NSTATE
  use aeroact_signature, only: input_name, output_name
  use aeroact_status, only: AEROACT_NOT_FINITE, AEROACT_NOT_INITIALIZED, AEROACT_OK, &
    AEROACT_OUT_OF_RANGE, AEROACT_RUNTIME_FAILED, AEROACT_STATE_NOT_FINITE, decimal, fail, succeed
  use aeroact_traps, only: environment, hold_traps, restore_traps
  implicit none
  private

  public :: evaluate, prepare, discard

  !> What an evaluation works with, of one thread. It may be empty; `prepare` fills it, so that
  !! evaluations of the same arrays allocate nothing.
  type, public :: scratch
    type(native_workspace) :: native
    type(c_ptr) :: input = c_null_ptr, output = c_null_ptr
      !! ONNX Runtime's names for the caller's arrays
    type(c_ptr) :: binding = c_null_ptr
      !! both, looked up by name in the session once and for all
    integer :: columns = 0
      !! how many columns these have
  end type scratch

  ! The names as C strings, with an address to hand to ONNX Runtime.
  character(kind=c_char, len=*), parameter :: c_input = input_name//c_null_char
  character(kind=c_char, len=*), parameter :: c_output = output_name//c_null_char
  character(kind=c_char), target, save :: c_input_name(len(c_input)) = &
    transfer(c_input, c_null_char, len(c_input))
  character(kind=c_char), target, save :: c_output_name(len(c_output)) = &
    transfer(c_output, c_null_char, len(c_output))

contains

  !> Predict `fn`, in single precision, and look at every column of the states and of `fn`.
  recursive subroutine evaluate(used, work, ncol, x, y, stat, errmsg, column_stat)
    type(emulator), intent(in) :: used
    type(scratch), intent(inout) :: work
    integer, intent(in) :: ncol
      !! at least 1
    real(real32), intent(in), target :: x(AEROACT_NSTATE, ncol)
    real(real32), intent(inout), target :: y(AEROACT_NMODES, ncol)
    integer, intent(out) :: stat
    character(len=*), intent(out), optional :: errmsg
    integer, intent(out), optional :: column_stat(:)
      !! `AEROACT_OK`, or why this column's `fn` is not to be used

    type(environment) :: caller

    ! Some operators raise IEEE flags on harmless states; a host model that traps them would die.
    call hold_traps(caller)
    if (takes_native(used, ncol)) then
      call native_predict(used%network, work%native, x, y, stat, errmsg)
    else
      call run_session(used, work, ncol, x, y, stat, errmsg)
    end if
    call restore_traps(caller)
    if (present(column_stat)) column_stat(:ncol) = stat
    if (stat /= AEROACT_OK) return
    if (all_finite(x, size(x)) .and. all_fractions(y, size(y))) return
    call examine(used%name, ncol, x, y, stat, errmsg, column_stat)
  end subroutine evaluate

  !> Allocate and name what evaluations of these arrays need.
  recursive subroutine prepare(used, work, ncol, x, y, stat, errmsg)
    type(emulator), intent(in) :: used
    type(scratch), intent(inout) :: work
    integer, intent(in) :: ncol
    real(real32), intent(in), target :: x(AEROACT_NSTATE, ncol)
    real(real32), intent(inout), target :: y(AEROACT_NMODES, ncol)
    integer, intent(out) :: stat
    character(len=*), intent(out), optional :: errmsg

    type(environment) :: caller

    call discard(work)
    call succeed(stat, errmsg)
    if (any(used%native)) call native_prepare(used%network, work%native, stat, errmsg)
    if (stat /= AEROACT_OK .or. .not. c_associated(used%session)) return
    call hold_traps(caller)
    call name_arrays(used, ncol, x, y, work%input, work%output, stat, errmsg)
    if (stat == AEROACT_OK) call bind_arrays()
    if (stat == AEROACT_OK) then
      work%columns = ncol
    else
      call discard(work)
    end if
    call restore_traps(caller)

  contains

    recursive subroutine bind_arrays()
      call take(ort_create_binding(used%session, work%binding))
      if (stat == AEROACT_OK) call take(ort_bind_input(work%binding, c_input_name, work%input))
      if (stat == AEROACT_OK) call take(ort_bind_output(work%binding, c_output_name, work%output))
    end subroutine bind_arrays

    recursive subroutine take(status)
      type(c_ptr), intent(in) :: status

      call ort_check(status, AEROACT_RUNTIME_FAILED, "ONNX Runtime refuses to bind the arrays &
        &for '"//used%name//"'. Try another version of it.", stat, errmsg)
    end subroutine take

  end subroutine prepare

  !> Let go of what `prepare` made.
  recursive subroutine discard(work)
    type(scratch), intent(inout) :: work

    type(scratch) :: nothing

    if (c_associated(work%binding)) call ort_release_binding(work%binding)
    if (c_associated(work%input)) call ort_release_tensor(work%input)
    if (c_associated(work%output)) call ort_release_tensor(work%output)
    work = nothing
  end subroutine discard

  !> Whether the native backend is to take so many columns.
  recursive function takes_native(used, ncol)
    type(emulator), intent(in) :: used
    integer, intent(in) :: ncol
    logical :: takes_native

    integer :: i

    do i = size(BATCHES), 2, -1
      if (ncol >= BATCHES(i)) exit
    end do
    takes_native = used%native(i)
  end function takes_native

  !> Have ONNX Runtime evaluate the network on the caller's arrays.
  recursive subroutine run_session(used, work, ncol, x, y, stat, errmsg)
    type(emulator), intent(in) :: used
    type(scratch), intent(in) :: work
    integer, intent(in) :: ncol
    real(real32), intent(in), target :: x(AEROACT_NSTATE, ncol)
    real(real32), intent(inout), target :: y(AEROACT_NMODES, ncol)
    integer, intent(out) :: stat
    character(len=*), intent(out), optional :: errmsg

    type(c_ptr) :: input(1), output(1), name_in(1), name_out(1), status

    if (.not. c_associated(ort_env)) then
      call fail(AEROACT_NOT_INITIALIZED, 'ONNX Runtime has been let go. Call aeroact_init and &
        &load the model again.', stat, errmsg)
      return
    end if
    call succeed(stat, errmsg)
    if (ncol == work%columns) then
      status = ort_run_with_binding(used%session, c_null_ptr, work%binding)
    else
      call name_arrays(used, ncol, x, y, input(1), output(1), stat, errmsg)
      if (stat /= AEROACT_OK) return
      name_in = c_loc(c_input_name)
      name_out = c_loc(c_output_name)
      status = ort_run(used%session, c_null_ptr, name_in, input, 1_c_size_t, name_out, &
        1_c_size_t, output)
      call ort_release_tensor(input(1))
      call ort_release_tensor(output(1))
    end if
    ! To put the sentence together takes time.
    if (c_associated(status)) call ort_check(status, AEROACT_RUNTIME_FAILED, "'"//used%name// &
      "' failed to predict. Keep the scheme that it replaces.", stat, errmsg)
  end subroutine run_session

  !> Give ONNX Runtime names for arrays: x(16, ncol) is its tensor [ncol, 16], y likewise.
  recursive subroutine name_arrays(used, ncol, x, y, input, output, stat, errmsg)
    type(emulator), intent(in) :: used
    integer, intent(in) :: ncol
    real(real32), intent(in), target :: x(AEROACT_NSTATE, ncol)
    real(real32), intent(inout), target :: y(AEROACT_NMODES, ncol)
    type(c_ptr), intent(out) :: input, output
    integer, intent(out) :: stat
    character(len=*), intent(out), optional :: errmsg

    output = c_null_ptr
    call name_array(c_loc(x), AEROACT_NSTATE, input)
    if (stat /= AEROACT_OK) return
    call name_array(c_loc(y), AEROACT_NMODES, output)
    if (stat /= AEROACT_OK) then
      call ort_release_tensor(input)
      input = c_null_ptr
    end if

  contains

    recursive subroutine name_array(data, width, tensor)
      type(c_ptr), intent(in) :: data
      integer, intent(in) :: width
      type(c_ptr), intent(out) :: tensor

      type(c_ptr) :: status

      status = ort_create_tensor(ort_memory, data, 4_c_size_t*width*ncol, &
        [int(ncol, c_int64_t), int(width, c_int64_t)], 2_c_size_t, ORT_FLOAT32, tensor)
      call succeed(stat, errmsg)
      if (c_associated(status)) call ort_check(status, AEROACT_RUNTIME_FAILED, &
        "ONNX Runtime refuses the arrays for '"//used%name//"'. Try another version of it.", &
        stat, errmsg)
    end subroutine name_array

  end subroutine name_arrays

  !> Say of every column whether its `fn` can be used; where the state holds a NaN, so does `fn`.
  recursive subroutine examine(name, ncol, x, y, stat, errmsg, column_stat)
    character(len=*), intent(in) :: name
    integer, intent(in) :: ncol
    real(real32), intent(in) :: x(AEROACT_NSTATE, ncol)
    real(real32), intent(inout) :: y(AEROACT_NMODES, ncol)
    integer, intent(out) :: stat
    character(len=*), intent(out), optional :: errmsg
    integer, intent(inout), optional :: column_stat(:)

    integer :: column, found, states, values, ranges, first

    states = 0
    values = 0
    ranges = 0
    first = 0
    do column = 1, ncol
      found = AEROACT_OK
      if (.not. all_finite(x(:, column), AEROACT_NSTATE)) then
        found = AEROACT_STATE_NOT_FINITE
        states = states + 1
        y(:, column) = quiet_nan()
      else if (.not. all_finite(y(:, column), AEROACT_NMODES)) then
        found = AEROACT_NOT_FINITE
        values = values + 1
      else if (.not. all_fractions(y(:, column), AEROACT_NMODES)) then
        found = AEROACT_OUT_OF_RANGE
        ranges = ranges + 1
      end if
      if (found /= AEROACT_OK .and. first == 0) first = column
      if (present(column_stat)) column_stat(column) = found
    end do

    if (states > 0) then
      call report(AEROACT_STATE_NOT_FINITE, states, 'has a state with a NaN or an infinity')
    else if (values > 0) then
      call report(AEROACT_NOT_FINITE, values, "gets a NaN or an infinity from '"//name//"'")
    else
      call report(AEROACT_OUT_OF_RANGE, ranges, "gets a number outside of [0, 1] from '"//name//"'")
    end if

  contains

    recursive subroutine report(code, count, what)
      integer, intent(in) :: code, count
      character(len=*), intent(in) :: what

      call fail(code, 'Column '//decimal(first)//' (the first of '// &
        decimal(states + values + ranges)//' not to be used, '//decimal(count)//' of them for this &
        &reason) '//what//'. Use another scheme for these columns; column_stat tells which.', &
        stat, errmsg)
    end subroutine report

  end subroutine examine

end module aeroact_evaluation
