!> The open sessions of ONNX Runtime, each under a number that is never given out again.
!!
!! A model holds such a number and no pointer. So a copy of a model is harmless, a model whose
!! session is gone is recognised, and what a host model forgot to free can still be released.
module aeroact_sessions
  use, intrinsic :: iso_c_binding, only: c_null_ptr, c_ptr
  use aeroact_ort, only: ort_release_session
  implicit none
  private

  public :: keep_session, find_session, session_path, release_session, release_all_sessions

  integer, parameter, public :: AEROACT_MAX_MODELS = 128
    !! How many models can be loaded at once: the table never moves, so that one thread may load
    !! a model while others predict with theirs.

  type :: open_session
    type(c_ptr) :: session = c_null_ptr
    character(len=:), allocatable :: path
  end type open_session

  integer, save :: numbers(AEROACT_MAX_MODELS) = 0  ! 0 marks a free place
  type(open_session), save :: sessions(AEROACT_MAX_MODELS)
  integer, save :: last_number = 0

contains

  !> Enter a session.
  subroutine keep_session(session, path, number)
    type(c_ptr), intent(in) :: session
    character(len=*), intent(in) :: path
      !! the model's file
    integer, intent(out) :: number
      !! the session's number, or 0 if there is no free place

    integer :: place

    number = 0
    place = place_of(0)
    if (place == 0) return
    last_number = last_number + 1
    number = last_number
    sessions(place)%session = session
    sessions(place)%path = path
    numbers(place) = number
  end subroutine keep_session

  !> The session of that number; null if it has been released or never was.
  function find_session(number) result(session)
    integer, intent(in) :: number
    type(c_ptr) :: session

    integer :: place

    session = c_null_ptr
    place = 0
    if (number > 0) place = place_of(number)
    if (place > 0) session = sessions(place)%session
  end function find_session

  !> The file of an open session.
  function session_path(number) result(path)
    integer, intent(in) :: number
    character(len=:), allocatable :: path

    path = sessions(place_of(number))%path
  end function session_path

  !> Release a session; a number that has none does nothing.
  subroutine release_session(number)
    integer, intent(in) :: number

    integer :: place

    place = 0
    if (number > 0) place = place_of(number)
    if (place == 0) return
    numbers(place) = 0
    call ort_release_session(sessions(place)%session)
    deallocate (sessions(place)%path)
  end subroutine release_session

  !> Release every session.
  subroutine release_all_sessions()
    integer :: place

    do place = 1, size(numbers)
      call release_session(numbers(place))
    end do
  end subroutine release_all_sessions

  !> Where a number stands in the table; 0 if it does not.
  pure function place_of(number) result(place)
    integer, intent(in) :: number
    integer :: place

    do place = 1, size(numbers)
      if (numbers(place) == number) return
    end do
    place = 0
  end function place_of

end module aeroact_sessions
