!> The loaded emulators, each under a number that is never given out again.
!!
!! A model holds such a number and no pointer. So a copy of a model is harmless, a model that has
!! been freed is recognised, and what a host model forgot to free can still be released.
module aeroact_emulators
  use, intrinsic :: iso_c_binding, only: c_associated, c_null_ptr, c_ptr
  use, intrinsic :: iso_fortran_env, only: int64
  use aeroact_native, only: native_network
  use aeroact_onnx, only: entry
  use aeroact_ort, only: ort_release_session
  implicit none
  private

  public :: keep_emulator, find_emulator, release_emulator, release_all_emulators

  integer, parameter, public :: AEROACT_MAX_MODELS = 128
    !! How many models can be loaded at once: the table never moves, so that one thread may load
    !! a model while others predict with theirs.

  integer, parameter, public :: BATCHES(6) = [1, 4, 16, 64, 256, 1024]
    !! Numbers of columns for which backend `auto` chooses; any other counts as the next lower one.

  !> An emulator, only read once it is in the table.
  type, public :: emulator
    character(len=:), allocatable :: name
      !! its file, for sentences
    type(entry), allocatable :: metadata(:)
    type(c_ptr) :: session = c_null_ptr
      !! ONNX Runtime's session; null if only the native backend is used
    type(native_network) :: network
    logical :: native(size(BATCHES)) = .false.
      !! whether the native backend takes so many columns
  end type emulator

  integer(int64), save :: numbers(AEROACT_MAX_MODELS) = 0  ! 0 marks a free place
  integer(int64), save :: last_serial = 0
  type(emulator), target, save :: emulators(AEROACT_MAX_MODELS)

contains

  !> Enter an emulator.
  subroutine keep_emulator(kept, number)
    type(emulator), intent(in) :: kept
    integer(int64), intent(out) :: number
      !! its number, or 0 if there is no free place

    integer :: place

    number = 0
    do place = 1, AEROACT_MAX_MODELS
      if (numbers(place) == 0) exit
    end do
    if (place > AEROACT_MAX_MODELS) return
    last_serial = last_serial + 1
    ! The number tells its place, so that looking it up takes no search.
    number = last_serial*AEROACT_MAX_MODELS + place - 1
    emulators(place) = kept
    numbers(place) = number
  end subroutine keep_emulator

  !> The emulator of that number; null if it has been released or never was.
  recursive function find_emulator(number) result(found)
    integer(int64), intent(in) :: number
    type(emulator), pointer :: found

    integer :: place

    nullify (found)
    place = int(modulo(number, int(AEROACT_MAX_MODELS, int64))) + 1
    if (number > 0 .and. numbers(place) == number) found => emulators(place)
  end function find_emulator

  !> Release an emulator; a number that has none does nothing.
  subroutine release_emulator(number)
    integer(int64), intent(in) :: number

    type(emulator), pointer :: released
    type(emulator) :: none

    released => find_emulator(number)
    if (.not. associated(released)) return
    numbers(modulo(number, int(AEROACT_MAX_MODELS, int64)) + 1) = 0
    if (c_associated(released%session)) call ort_release_session(released%session)
    released = none
  end subroutine release_emulator

  !> Release every emulator.
  subroutine release_all_emulators()
    integer :: place

    do place = 1, AEROACT_MAX_MODELS
      call release_emulator(numbers(place))
    end do
  end subroutine release_all_emulators

end module aeroact_emulators
