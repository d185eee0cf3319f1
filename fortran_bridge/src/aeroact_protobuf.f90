!> The wire format of Protocol Buffers, in which ONNX files are written.
!!
!! A message is a run of fields, each a number, a kind and a value; a value may again be a message.
!! Source: the encoding page of the Protocol Buffers documentation.
module aeroact_protobuf
  use, intrinsic :: iso_fortran_env, only: int32, int64, int8, real32
  implicit none
  private

  public :: next_field, read_varint, text_of, floats_of

  integer, parameter, public :: WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5

  !> A part of a file's bytes: a message, a text or packed numbers.
  type, public :: span
    integer :: first = 1
    integer :: last = 0
  end type span

  !> One field of a message.
  type, public :: wire_field
    integer :: number = 0
      !! which field it is; 0 after the last one
    integer :: wire = 0
    integer(int64) :: varint = 0
      !! the value, where `wire` is WIRE_VARINT
    type(span) :: content
      !! the value's bytes, otherwise
  end type wire_field

contains

  !> Take the next field off a message; its number is 0 if none is left.
  pure subroutine next_field(bytes, message, field, sound)
    integer(int8), intent(in) :: bytes(:)
    type(span), intent(inout) :: message
      !! what is left of it
    type(wire_field), intent(out) :: field
    logical, intent(inout) :: sound
      !! made false where the bytes are no such message

    integer(int64) :: key, length

    if (.not. sound .or. message%first > message%last) return
    call read_varint(bytes, message, key, sound)
    if (.not. sound) return
    field%wire = int(iand(key, 7_int64))
    length = 0
    select case (field%wire)
    case (WIRE_VARINT)
      call read_varint(bytes, message, field%varint, sound)
    case (WIRE_FIXED64)
      length = 8
    case (WIRE_BYTES)
      call read_varint(bytes, message, length, sound)
    case (WIRE_FIXED32)
      length = 4
    case default
      sound = .false.
    end select
    sound = sound .and. length >= 0 .and. length <= message%last - message%first + 1
    key = shiftr(key, 3)
    sound = sound .and. key > 0 .and. key < 2_int64**29
    if (.not. sound) return
    field%number = int(key)
    field%content = span(message%first, message%first + int(length) - 1)
    message%first = field%content%last + 1
  end subroutine next_field

  !> Take a number of variable length off a message: seven bits a byte, the lowest first.
  pure subroutine read_varint(bytes, message, number, sound)
    integer(int8), intent(in) :: bytes(:)
    type(span), intent(inout) :: message
    integer(int64), intent(out) :: number
    logical, intent(inout) :: sound

    integer(int64) :: byte
    integer :: shift

    number = 0
    do shift = 0, 63, 7
      if (message%first > message%last) exit
      byte = int(bytes(message%first), int64)
      message%first = message%first + 1
      number = ior(number, shiftl(iand(byte, 127_int64), shift))
      if (byte >= 0) return
    end do
    sound = .false.
  end subroutine read_varint

  !> Bytes as text.
  pure function text_of(bytes, part) result(text)
    integer(int8), intent(in) :: bytes(:)
    type(span), intent(in) :: part
    character(len=:), allocatable :: text

    integer :: i

    allocate (character(len=part%last - part%first + 1) :: text)
    do i = part%first, part%last
      text(i - part%first + 1:i - part%first + 1) = achar(iand(int(bytes(i)), 255))
    end do
  end function text_of

  !> Bytes as single-precision numbers, the lowest byte first whatever the machine's own order.
  pure function floats_of(bytes, part) result(numbers)
    integer(int8), intent(in) :: bytes(:)
    type(span), intent(in) :: part
    real(real32), allocatable :: numbers(:)

    integer(int32) :: bits
    integer :: byte, i

    allocate (numbers((part%last - part%first + 1)/4))
    do i = 1, size(numbers)
      bits = 0
      do byte = 0, 3
        bits = ior(bits, shiftl(iand(int(bytes(part%first + 4*(i - 1) + byte), int32), &
          255_int32), 8*byte))
      end do
      numbers(i) = transfer(bits, numbers(i))
    end do
  end function floats_of

end module aeroact_protobuf
