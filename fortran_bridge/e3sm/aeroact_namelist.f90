!> The namelist switches of activation in a host model.
!!
!! A host reads them on one MPI rank and broadcasts the four settings:
!!
!!     &aeroact_nl
!!       aeroact_on       = .true.            ! activate by the emulator; off unless given
!!       aeroact_file     = 'emulator.onnx'   ! of a bundle
!!       aeroact_backend  = 'native'          ! or 'ort' or 'auto'; native unless given
!!       aeroact_fallback = .true.            ! ARG2000 outside the training bounds; unless given
!!     /
module aeroact_namelist
  use, intrinsic :: iso_fortran_env, only: iostat_end
  use aeroact_status, only: AEROACT_INVALID_ARGUMENT, fail, succeed
  implicit none
  private

  public :: aeroact_read_namelist

  integer, parameter :: PATH_LEN = 1024
  integer, parameter :: LINE_LEN = PATH_LEN + 256

  !> How a host is to activate aerosol.
  type, public :: aeroact_settings
    logical :: on = .false.
      !! whether the emulator is used at all
    character(len=PATH_LEN) :: file = ''
      !! the emulator
    character(len=16) :: backend = 'native'
      !! what evaluates it: `native`, `ort` or `auto`. Native is bit for bit the same whatever the
      !! chunks, ranks and threads; auto may differ in the last digits from run to run
    logical :: fallback = .true.
      !! whether ARG2000 answers where the emulator should not
  end type aeroact_settings

  !> Read the group from a file, or from a unit that is open for formatted reading.
  interface aeroact_read_namelist
    procedure :: read_file, read_unit
  end interface aeroact_read_namelist

contains

  !> Read the group from a file.
  subroutine read_file(path, settings, stat, errmsg)
    character(len=*), intent(in) :: path
    type(aeroact_settings), intent(out) :: settings
      !! the defaults where the file does not say, or has no such group
    integer, intent(out) :: stat
      !! `AEROACT_OK` or `AEROACT_INVALID_ARGUMENT`
    character(len=*), intent(out), optional :: errmsg
      !! what is wrong, in a sentence

    character(len=256) :: reason
    integer :: failed, unit

    open (newunit=unit, file=trim(path), status='old', action='read', iostat=failed, iomsg=reason)
    if (failed /= 0) then
      call fail(AEROACT_INVALID_ARGUMENT, "The namelist file '"//trim(path)// &
        "' cannot be read: "//trim(reason)//'.', stat, errmsg)
      return
    end if
    call read_unit(unit, settings, stat, errmsg)
    close (unit)
  end subroutine read_file

  !> Read the group from a unit, wherever in the file it is.
  subroutine read_unit(unit, settings, stat, errmsg)
    integer, intent(in) :: unit
      !! open for formatted reading
    type(aeroact_settings), intent(out) :: settings
      !! the defaults where the file does not say, or has no such group
    integer, intent(out) :: stat
      !! `AEROACT_OK` or `AEROACT_INVALID_ARGUMENT`
    character(len=*), intent(out), optional :: errmsg
      !! what is wrong, in a sentence

    logical :: aeroact_on, aeroact_fallback
    character(len=LINE_LEN) :: aeroact_file, aeroact_backend, line
    character(len=256) :: reason
    integer :: failed

    namelist /aeroact_nl/ aeroact_on, aeroact_file, aeroact_backend, aeroact_fallback

    aeroact_on = settings%on
    aeroact_file = settings%file
    aeroact_backend = settings%backend
    aeroact_fallback = settings%fallback

    call succeed(stat, errmsg)
    rewind (unit, iostat=failed)
    do  ! look for the group, so that its absence is no error and a torn one is
      read (unit, '(a)', iostat=failed, iomsg=reason) line
      if (failed == iostat_end) return
      if (failed /= 0) then
        call refuse('cannot be read: '//trim(reason)//'.')
        return
      end if
      line = adjustl(line)
      if (is_group(line)) exit
    end do

    backspace (unit)
    read (unit, nml=aeroact_nl, iostat=failed, iomsg=reason)
    if (failed == iostat_end) reason = 'it has no / at its end'
    if (failed /= 0) then
      call refuse('cannot be read: '//trim(reason)//'. It may hold aeroact_on, aeroact_file, &
        &aeroact_backend and aeroact_fallback.')
    else if (len_trim(aeroact_file) > PATH_LEN) then
      call refuse('has an aeroact_file that is too long. Give a shorter path.')
    else if (all(aeroact_backend /= [character(len=6) :: 'native', 'ort', 'auto'])) then
      call refuse("has the aeroact_backend '"//trim(aeroact_backend)//"'. Give 'native', 'ort' or &
        &'auto'.")
    else if (aeroact_on .and. aeroact_file == '') then
      call refuse("has aeroact_on = .true. but no aeroact_file. Give the path of a bundle's &
        &emulator.onnx.")
    else
      settings%on = aeroact_on
      settings%file = aeroact_file(:PATH_LEN)
      settings%backend = aeroact_backend(:len(settings%backend))
      settings%fallback = aeroact_fallback
    end if

  contains

    subroutine refuse(reason)
      character(len=*), intent(in) :: reason

      call fail(AEROACT_INVALID_ARGUMENT, 'The namelist group aeroact_nl '//reason, stat, errmsg)
    end subroutine refuse

  end subroutine read_unit

  !> Whether a line begins the group, in whatever case.
  pure function is_group(line)
    character(len=*), intent(in) :: line
    logical :: is_group

    character(len=*), parameter :: BEGIN = '&aeroact_nl'
    character(len=len(BEGIN)) :: start
    integer :: i

    start = line
    do i = 1, len(start)
      if (start(i:i) >= 'A' .and. start(i:i) <= 'Z') start(i:i) = achar(iachar(start(i:i)) + 32)
    end do
    is_group = start == BEGIN .and. scan(line(len(BEGIN) + 1:len(BEGIN) + 1), ' ,/'//achar(9)) == 1
  end function is_group

end module aeroact_namelist
