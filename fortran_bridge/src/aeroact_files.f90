!> Whole files as bytes.
module aeroact_files
  use, intrinsic :: iso_fortran_env, only: int64, int8
  use aeroact_status, only: AEROACT_MODEL_INVALID, AEROACT_MODEL_NOT_FOUND, AEROACT_NO_MEMORY, &
    fail, succeed
  implicit none
  private

  public :: aeroact_read_file

contains

  !> Read a file: of many MPI ranks one does, and broadcasts the bytes to those that `load` them.
  subroutine aeroact_read_file(path, bytes, stat, errmsg)
    character(len=*), intent(in) :: path
      !! a bundle's `emulator.onnx`
    integer(int8), allocatable, intent(out) :: bytes(:)
      !! its content; of size 0 if anything is wrong
    integer, intent(out) :: stat
      !! `AEROACT_OK`, `AEROACT_MODEL_NOT_FOUND`, `AEROACT_MODEL_INVALID` or `AEROACT_NO_MEMORY`
    character(len=*), intent(out), optional :: errmsg
      !! what went wrong, in a sentence

    integer(int64) :: length
    integer :: error, unit
    logical :: exists
    character(len=200) :: reason

    allocate (bytes(0))
    inquire (file=trim(path), exist=exists)
    if (.not. exists) then
      call fail(AEROACT_MODEL_NOT_FOUND, "There is no file '"//trim(path)//"'. Give the path of a &
        &bundle's emulator.onnx.", stat, errmsg)
      return
    end if

    reason = ''
    open (newunit=unit, file=trim(path), access='stream', form='unformatted', status='old', &
      action='read', iostat=error, iomsg=reason)
    if (error == 0) then
      inquire (unit=unit, size=length)
      if (length > 0 .and. length < huge(1)) then
        deallocate (bytes)
        allocate (bytes(length), stat=error)
        if (error /= 0) then
          close (unit)
          allocate (bytes(0))
          call fail(AEROACT_NO_MEMORY, "There is no memory for the content of '"//trim(path)// &
            "'.", stat, errmsg)
          return
        end if
        read (unit, iostat=error, iomsg=reason) bytes
      else
        error = 1
        reason = 'it is empty, or no file'
      end if
      close (unit)
    end if
    if (error == 0) then
      call succeed(stat, errmsg)
    else
      bytes = bytes(:0)
      call fail(AEROACT_MODEL_INVALID, "'"//trim(path)//"' cannot be read: "//trim(reason)// &
        '. Copy or export it again.', stat, errmsg)
    end if
  end subroutine aeroact_read_file

end module aeroact_files
