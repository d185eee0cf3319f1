!> What is known of a loaded emulator, for a program and for a reader.
module aeroact_description
  use, intrinsic :: iso_c_binding, only: c_associated
  use, intrinsic :: iso_fortran_env, only: real32
  use aeroact_emulators, only: BATCHES, emulator
  use aeroact_native, only: native_widths
  use aeroact_schema, only: AEROACT_COLUMNS, AEROACT_NSTATE, AEROACT_UNITS
  use aeroact_signature, only: find_entry
  use aeroact_status, only: AEROACT_INVALID_ARGUMENT, AEROACT_NO_METADATA, AEROACT_OK, fail, succeed
  implicit none
  private

  public :: describe_emulator, read_bounds

contains

  !> Write some lines for a reader.
  subroutine describe_emulator(used, unit, stat, errmsg)
    type(emulator), intent(in) :: used
    integer, intent(in) :: unit
    integer, intent(out) :: stat
      !! `AEROACT_OK`, or `AEROACT_INVALID_ARGUMENT` if the unit cannot be written
    character(len=*), intent(out), optional :: errmsg

    real(real32), dimension(AEROACT_NSTATE) :: low, high
    integer, allocatable :: widths(:)
    integer :: error, i
    logical :: is_open

    call succeed(stat, errmsg)
    inquire (unit=unit, opened=is_open)  ! or writing would open a file
    error = merge(0, 1, is_open)
    if (is_open) write (unit, '(2a)', iostat=error) 'Emulator ', used%name
    if (error /= 0) then
      call fail(AEROACT_INVALID_ARGUMENT, 'The unit cannot be written. Open it for formatted &
        &writing first.', stat, errmsg)
      return
    end if

    widths = native_widths(used%network)
    if (.not. c_associated(used%session)) then
      write (unit, '(a)') 'Backend: native'
    else if (size(widths) == 0 .and. .not. any(used%native)) then
      write (unit, '(a)') 'Backend: ONNX Runtime'
    else
      write (unit, '(a)') 'Backend, by the number of columns:'
      write (unit, '(i6, a, a)') (BATCHES(i), ' or more: ', &
        merge('native      ', 'ONNX Runtime', used%native(i)), i=1, size(BATCHES))
    end if
    if (size(widths) > 0) write (unit, '(a, *(1x, i0))') 'Hidden layers:', widths

    call read_bounds(used, low, high, error)
    if (error /= AEROACT_OK) return
    write (unit, '(a)') 'State            units       lowest     highest in the training'
    do i = 1, AEROACT_NSTATE
      write (unit, '(a, 2x, a, 2es12.4)') AEROACT_COLUMNS(i), AEROACT_UNITS(i), low(i), high(i)
    end do
  end subroutine describe_emulator

  !> Read the training bounds from the metadata.
  subroutine read_bounds(used, low, high, stat, errmsg)
    type(emulator), intent(in) :: used
    real(real32), dimension(AEROACT_NSTATE), intent(out) :: low, high
    integer, intent(out) :: stat
      !! `AEROACT_OK` or `AEROACT_NO_METADATA`
    character(len=*), intent(out), optional :: errmsg

    integer :: errors(2), place

    low = 0
    high = 0
    errors = 1
    place = find_entry(used%metadata, 'training_bounds')
    if (place > 0) then
      call read_list(used%metadata(place)%value, '"low"', low, errors(1))
      call read_list(used%metadata(place)%value, '"high"', high, errors(2))
    end if
    if (all(errors == 0)) then
      call succeed(stat, errmsg)
    else
      call fail(AEROACT_NO_METADATA, "'"//used%name//"' does not state its training_bounds. &
        &Export the model with aeroact-export.", stat, errmsg)
    end if
  end subroutine read_bounds

  !> Read a list of numbers out of JSON: those between brackets after a key.
  subroutine read_list(json, key, numbers, error)
    character(len=*), intent(in) :: json, key
    real(real32), intent(inout) :: numbers(:)
    integer, intent(out) :: error
      !! 0 if there are as many numbers as are wanted

    real(real32) :: read_numbers(size(numbers))
    character(len=:), allocatable :: list
    integer :: first, i, last

    error = 1
    first = index(json, key)
    if (first == 0) return
    last = first - 1 + index(json(first:), ']')
    first = first + index(json(first:), '[')
    if (last <= first) return
    list = json(first:last - 1)
    if (count([(list(i:i) == ',', i=1, len(list))]) /= size(numbers) - 1) return
    read (list, *, iostat=error) read_numbers
    if (error == 0) numbers = read_numbers
  end subroutine read_list

end module aeroact_description
