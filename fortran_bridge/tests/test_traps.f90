!> A host model that traps IEEE exceptions survives the library, and finds its traps and flags as
!! they were.
program test_traps
  use, intrinsic :: ieee_exceptions, only: ieee_divide_by_zero, ieee_flag_type, &
    ieee_get_flag, ieee_get_halting_mode, ieee_inexact, ieee_invalid, ieee_overflow, &
    ieee_set_flag, ieee_set_halting_mode, ieee_underflow, ieee_usual
  use, intrinsic :: iso_fortran_env, only: real32, real64
  use aeroact
  use testing
  implicit none

  character(len=AEROACT_ERRMSG_LEN) :: errmsg
  type(aeroact_model) :: model
  real(real64) :: x(AEROACT_NSTATE, nstates), y(AEROACT_NMODES, nstates)
  real(real32) :: x4(AEROACT_NSTATE, nstates), y4(AEROACT_NMODES, nstates)
  integer :: stat

  call ieee_set_halting_mode(ieee_usual, .true.)

  call open_runtime()
  call traps_are_set()
  call model%load(data_file('raising.onnx'), stat, errmsg)
  call expect(AEROACT_OK, stat, errmsg, 'load')
  call traps_are_set()

  if (argument(1) == 'predict') then
    call predicts_as_expected(model, 'raising', 1)
    call predicts_as_expected(model, 'raising', nstates)
    call traps_are_set()

    x = 1e300_real64  ! overflows in single precision
    call model%predict(x, y, stat, errmsg)
    call expect(AEROACT_STATE_NOT_FINITE, stat, errmsg, 'overflow')
    call traps_are_set()
    call flags_are_kept()

    call model%load(data_file('mlp.onnx'), stat, errmsg, backend='native')
    call expect(AEROACT_OK, stat, errmsg, 'load for the native backend')
    call predicts_as_expected(model, 'mlp', nstates)
    call traps_are_set()
    x = 1
    call flags_are_kept()
  end if

  call model%free()
  call aeroact_finalize()
  call traps_are_set()
  call finish()

contains

  subroutine traps_are_set()
    logical :: halting(size(ieee_usual))

    call ieee_get_halting_mode(ieee_usual, halting)
    call check(all(halting), 'the traps are back')
  end subroutine traps_are_set

  !> Neither a raised flag is lost nor a quiet one raised.
  subroutine flags_are_kept()
    type(ieee_flag_type), parameter :: all_flags(5) = &
      [ieee_invalid, ieee_divide_by_zero, ieee_overflow, ieee_inexact, ieee_underflow]
    logical :: raised(5)

    call ieee_set_halting_mode(ieee_usual, .false.)
    x4 = 3
    call ieee_set_flag(all_flags, [.true., .false., .false., .false., .false.])
    call model%predict(x, y, stat, errmsg)
    call model%predict(x4, y4, stat, errmsg)
    call ieee_get_flag(all_flags, raised)
    call check(all(raised .eqv. [.true., .false., .false., .false., .false.]), 'the flags are kept')
    call ieee_set_flag(all_flags, .false.)
    call ieee_set_halting_mode(ieee_usual, .true.)
  end subroutine flags_are_kept

end program test_traps
