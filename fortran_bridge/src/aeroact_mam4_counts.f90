!> What happened to the points that were to be activated, counted and printed.
module aeroact_mam4_counts
  use, intrinsic :: iso_fortran_env, only: int64, real64
  use aeroact_schema, only: AEROACT_COLUMNS, AEROACT_NSTATE
  use aeroact_status, only: AEROACT_INVALID_ARGUMENT, fail, succeed
  implicit none
  private

  public :: print_counts

  ! Every point that was asked for is counted once here ...
  integer, parameter, public :: MAM4_NETWORK = 1
    !! The emulator answered, within its training bounds.
  integer, parameter, public :: MAM4_NETWORK_OUTSIDE = 2
    !! The emulator answered outside its training bounds, as there is no fallback.
  integer, parameter, public :: MAM4_ARG2000_OUTSIDE = 3
    !! ARG2000 answered, since the state is outside the training bounds.
  integer, parameter, public :: MAM4_ARG2000_NO_FRACTION = 4
    !! ARG2000 answered, since the emulator's answer was NaN, infinite or outside [0, 1].
  integer, parameter, public :: MAM4_ARG2000_FAILED = 5
    !! ARG2000 answered, since the call of the emulator failed.
  integer, parameter, public :: MAM4_NO_UPDRAFT = 6
    !! Zeros, since there is no updraft.
  integer, parameter, public :: MAM4_NO_ANSWER = 7
    !! NaN, since the emulator failed and there is no fallback.
  integer, parameter, public :: MAM4_NO_STATE = 8
    !! NaN, since no air can be in such a state.
  ! ... and where it is outside the training bounds, once more for each such column.
  integer, parameter, public :: MAM4_BELOW = 8
    !! Points below the bounds of column c of the state are counted in `MAM4_BELOW + c`.
  integer, parameter, public :: MAM4_ABOVE = MAM4_BELOW + AEROACT_NSTATE
    !! Points above the bounds of column c of the state are counted in `MAM4_ABOVE + c`.
  integer, parameter, public :: MAM4_NCOUNTS = MAM4_ABOVE + AEROACT_NSTATE
    !! How many counts there are.

  character(len=*), parameter :: OUTCOMES(MAM4_NO_STATE) = [character(len=42) :: &
    'emulator', &
    'emulator, outside its training bounds', &
    'ARG2000, outside the training bounds', &
    'ARG2000, the emulator gave no fraction', &
    'ARG2000, the call of the emulator failed', &
    'zeros, no updraft', &
    'NaN, the emulator failed', &
    'NaN, not a state of air']

contains

  !> Print a table of counts.
  subroutine print_counts(counts, unit, stat, errmsg)
    integer(int64), intent(in) :: counts(:)
      !! (MAM4_NCOUNTS), by the parameters above
    integer, intent(in) :: unit
      !! open for formatted writing
    integer, intent(out), optional :: stat
      !! `AEROACT_OK`, or what went wrong
    character(len=*), intent(out), optional :: errmsg
      !! what went wrong, in a sentence

    integer(int64) :: points
    integer :: column, failed, outcome, status
    logical :: is_open

    status = 0
    if (present(errmsg)) errmsg = ''
    if (size(counts) /= MAM4_NCOUNTS) then
      call fail(AEROACT_INVALID_ARGUMENT, 'The counts are not MAM4_NCOUNTS numbers. Hand over &
        &those of a workspace or a sum of such.', status, errmsg)
      if (present(stat)) stat = status
      return
    end if

    points = sum(counts(:MAM4_NO_STATE))
    inquire (unit=unit, opened=is_open)  ! or writing would open a file
    failed = merge(0, 1, is_open)
    if (is_open) write (unit, '(a, i0)', iostat=failed) 'aeroact: points to be activated: ', points
    do outcome = 1, MAM4_NO_STATE
      if (failed /= 0) exit
      if (counts(outcome) == 0 .and. outcome /= MAM4_NETWORK) cycle
      write (unit, '(2x, a, i15, f9.3, a)', iostat=failed) OUTCOMES(outcome), counts(outcome), &
        100*real(counts(outcome), real64)/real(max(points, 1_int64), real64), ' %'
    end do
    if (failed == 0 .and. any(counts(MAM4_BELOW + 1:) /= 0)) then
      write (unit, '(a, /, 2x, a, t40, a, t55, a)', iostat=failed) &
        'aeroact: points outside the training bounds, by column (one may be in several):', &
        'column', 'below', 'above'
      do column = 1, AEROACT_NSTATE
        if (failed /= 0) exit
        if (all(counts([MAM4_BELOW, MAM4_ABOVE] + column) == 0)) cycle
        write (unit, '(2x, a, t30, 2i15)', iostat=failed) AEROACT_COLUMNS(column), &
          counts([MAM4_BELOW, MAM4_ABOVE] + column)
      end do
    end if
    if (failed /= 0) call fail(AEROACT_INVALID_ARGUMENT, 'The counts cannot be written to the &
      &unit. Hand over one that is open for formatted writing.', status, errmsg)
    if (present(stat)) stat = status
  end subroutine print_counts

end module aeroact_mam4_counts
