!> An ONNX file taken apart: what the model states of itself, its graph and its constants.
!!
!! Only what an emulator needs is kept. Field numbers are those of ONNX's own description,
!! `onnx/onnx.proto`; unknown fields are skipped, as Protocol Buffers demand.
module aeroact_onnx
  use, intrinsic :: iso_fortran_env, only: int64, int8, real32
  use aeroact_protobuf, only: WIRE_BYTES, WIRE_VARINT, floats_of, next_field, read_varint, span, &
    text_of, wire_field
  implicit none
  private

  public :: read_onnx, tensor_floats, tensor_integers

  integer, parameter, public :: ONNX_FLOAT = 1, ONNX_INT64 = 7
    !! types of a tensor's elements

  !> A text of any length.
  type, public :: string
    character(len=:), allocatable :: text
  end type string

  !> One entry of the metadata.
  type, public :: entry
    character(len=:), allocatable :: key, value
  end type entry

  !> An input or an output of the graph.
  type, public :: onnx_value
    character(len=:), allocatable :: name
    integer :: element_type = 0
    integer, allocatable :: extents(:)
      !! -1 for an axis of any length
  end type onnx_value

  !> A constant of the graph; its elements stay in the file's bytes.
  type, public :: onnx_tensor
    character(len=:), allocatable :: name
    integer :: element_type = 0
    integer, allocatable :: extents(:)
    type(span) :: elements
    logical :: raw = .false.
      !! whether the elements lie in their own byte order, as exports write them
  end type onnx_tensor

  !> An operator of the graph.
  type, public :: onnx_node
    character(len=:), allocatable :: operator
    type(string), allocatable :: inputs(:), outputs(:)
    integer(int64) :: axis = 0, trans_a = 0, trans_b = 0
    logical :: plain = .true.
      !! whether these are all attributes that matter
  end type onnx_node

  !> A file.
  type, public :: onnx_file
    type(entry), allocatable :: metadata(:)
    type(onnx_value), allocatable :: inputs(:), outputs(:)
    type(onnx_node), allocatable :: nodes(:)
    type(onnx_tensor), allocatable :: constants(:)
  end type onnx_file

contains

  !> Take a file apart.
  pure subroutine read_onnx(bytes, file, sound)
    integer(int8), intent(in) :: bytes(:)
      !! the file's content
    type(onnx_file), intent(out) :: file
    logical, intent(out) :: sound
      !! whether these are the bytes of a whole model; if not, `file` is not to be used

    type(span) :: model, graph
    type(wire_field) :: field
    integer :: graphs, n

    sound = .true.
    model = span(1, size(bytes))
    graphs = 0
    n = 0
    do
      call next_field(bytes, model, field, sound)
      if (field%number == 0 .or. .not. sound) exit
      if (field%wire /= WIRE_BYTES) cycle
      if (field%number == 7) graph = field%content
      if (field%number == 7) graphs = graphs + 1
      if (field%number == 14) n = n + 1
    end do
    sound = sound .and. graphs == 1

    allocate (file%metadata(merge(n, 0, sound)))
    if (sound) then
      model = span(1, size(bytes))
      n = 0
      do
        call next_field(bytes, model, field, sound)
        if (field%number == 0) exit
        if (field%number /= 14 .or. field%wire /= WIRE_BYTES) cycle
        n = n + 1
        call read_entry(bytes, field%content, file%metadata(n), sound)
      end do
    end if
    call read_graph(bytes, graph, file, sound)
  end subroutine read_onnx

  !> The elements of a single-precision tensor, in the file's order; none if it is another one.
  pure function tensor_floats(bytes, tensor) result(numbers)
    integer(int8), intent(in) :: bytes(:)
    type(onnx_tensor), intent(in) :: tensor
    real(real32), allocatable :: numbers(:)

    allocate (numbers(0))
    if (tensor%element_type /= ONNX_FLOAT) return
    numbers = floats_of(bytes, tensor%elements)
    if (size(numbers) /= product(tensor%extents)) numbers = numbers(:0)
  end function tensor_floats

  !> The elements of a vector of 64-bit integers that are neither negative nor large; none if it is
  !! another tensor.
  pure function tensor_integers(bytes, tensor) result(numbers)
    integer(int8), intent(in) :: bytes(:)
    type(onnx_tensor), intent(in) :: tensor
    integer, allocatable :: numbers(:)

    integer :: byte, first, i, length
    logical :: small

    allocate (numbers(0))
    length = tensor%elements%last - tensor%elements%first + 1
    if (tensor%element_type /= ONNX_INT64 .or. .not. tensor%raw) return
    if (length /= 8*product(tensor%extents)) return
    numbers = [(0, i=1, length/8)]
    do i = 1, size(numbers)
      first = tensor%elements%first + 8*(i - 1)
      do byte = 0, 3
        numbers(i) = ior(numbers(i), shiftl(iand(int(bytes(first + byte)), 255), 8*byte))
      end do
      small = numbers(i) >= 0 .and. all(bytes(first + 4:first + 7) == 0)
      if (small) cycle
      numbers = numbers(:0)
      exit
    end do
  end function tensor_integers

  pure subroutine read_graph(bytes, graph, file, sound)
    integer(int8), intent(in) :: bytes(:)
    type(span), intent(in) :: graph
    type(onnx_file), intent(inout) :: file
    logical, intent(inout) :: sound

    type(span) :: rest
    type(wire_field) :: field
    integer :: n(12)

    n = 0
    rest = graph
    do
      call next_field(bytes, rest, field, sound)
      if (field%number == 0 .or. .not. sound) exit
      if (field%number <= size(n) .and. field%wire == WIRE_BYTES) &
        n(field%number) = n(field%number) + 1
    end do
    if (.not. sound) n = 0
    allocate (file%nodes(n(1)), file%constants(n(5)), file%inputs(n(11)), file%outputs(n(12)))

    n = 0
    rest = graph
    do
      call next_field(bytes, rest, field, sound)
      if (field%number == 0 .or. .not. sound) exit
      if (field%number > size(n) .or. field%wire /= WIRE_BYTES) cycle
      n(field%number) = n(field%number) + 1
      associate (i => n(field%number), content => field%content)
        select case (field%number)
        case (1)
          call read_node(bytes, content, file%nodes(i), sound)
        case (5)
          call read_tensor(bytes, content, file%constants(i), sound)
        case (11)
          call read_value(bytes, content, file%inputs(i), sound)
        case (12)
          call read_value(bytes, content, file%outputs(i), sound)
        end select
      end associate
    end do
  end subroutine read_graph

  pure subroutine read_entry(bytes, message, item, sound)
    integer(int8), intent(in) :: bytes(:)
    type(span), intent(in) :: message
    type(entry), intent(inout) :: item
    logical, intent(inout) :: sound

    type(span) :: rest
    type(wire_field) :: field

    item%key = ''
    item%value = ''
    rest = message
    do
      call next_field(bytes, rest, field, sound)
      if (field%number == 0) exit
      if (field%wire /= WIRE_BYTES) cycle
      if (field%number == 1) item%key = text_of(bytes, field%content)
      if (field%number == 2) item%value = text_of(bytes, field%content)
    end do
  end subroutine read_entry

  pure subroutine read_node(bytes, message, node, sound)
    integer(int8), intent(in) :: bytes(:)
    type(span), intent(in) :: message
    type(onnx_node), intent(inout) :: node
    logical, intent(inout) :: sound

    type(span) :: rest
    type(wire_field) :: field
    integer :: n(2)

    node%operator = ''
    n = 0
    rest = message
    do
      call next_field(bytes, rest, field, sound)
      if (field%number == 0) exit
      if (field%number <= 2) n(field%number) = n(field%number) + 1
    end do
    allocate (node%inputs(n(1)), node%outputs(n(2)))
    n = 0
    rest = message
    do
      call next_field(bytes, rest, field, sound)
      if (field%number == 0) exit
      select case (field%number)
      case (1)
        n(1) = n(1) + 1
        node%inputs(n(1))%text = text_of(bytes, field%content)
      case (2)
        n(2) = n(2) + 1
        node%outputs(n(2))%text = text_of(bytes, field%content)
      case (4)
        node%operator = text_of(bytes, field%content)
      case (5)
        call read_attribute(bytes, field%content, node, sound)
      case (7)
        if (field%content%last >= field%content%first) node%plain = .false.  ! not ONNX's own
      end select
    end do
  end subroutine read_node

  pure subroutine read_attribute(bytes, message, node, sound)
    integer(int8), intent(in) :: bytes(:)
    type(span), intent(in) :: message
    type(onnx_node), intent(inout) :: node
    logical, intent(inout) :: sound

    character(len=:), allocatable :: name
    type(span) :: rest
    type(wire_field) :: field
    integer(int64) :: number

    name = ''
    number = 0
    rest = message
    do
      call next_field(bytes, rest, field, sound)
      if (field%number == 0) exit
      if (field%number == 1 .and. field%wire == WIRE_BYTES) name = text_of(bytes, field%content)
      if (field%number == 3) number = field%varint
    end do
    select case (name)
    case ('axis')
      node%axis = number
    case ('transA')
      node%trans_a = number
    case ('transB')
      node%trans_b = number
    case default
      node%plain = .false.
    end select
  end subroutine read_attribute

  pure subroutine read_tensor(bytes, message, tensor, sound)
    integer(int8), intent(in) :: bytes(:)
    type(span), intent(in) :: message
    type(onnx_tensor), intent(inout) :: tensor
    logical, intent(inout) :: sound

    type(span) :: rest, packed
    type(wire_field) :: field
    integer(int64) :: number

    tensor%name = ''
    tensor%extents = [integer ::]
    rest = message
    do
      call next_field(bytes, rest, field, sound)
      if (field%number == 0) exit
      select case (field%number)
      case (1)
        if (field%wire == WIRE_VARINT) then
          call append(tensor%extents, field%varint, sound)
        else
          packed = field%content
          do while (sound .and. packed%first <= packed%last)
            call read_varint(bytes, packed, number, sound)
            call append(tensor%extents, number, sound)
          end do
        end if
      case (2)
        tensor%element_type = int(iand(field%varint, 255_int64))
      case (4)
        tensor%elements = field%content
      case (8)
        tensor%name = text_of(bytes, field%content)
      case (9)
        tensor%elements = field%content
        tensor%raw = .true.
      end select
    end do
    if (.not. sound) tensor%extents = [0]
  end subroutine read_tensor

  !> Add an extent; a tensor of a thousand million elements is none of ours.
  pure subroutine append(extents, extent, sound)
    integer, allocatable, intent(inout) :: extents(:)
    integer(int64), intent(in) :: extent
    logical, intent(inout) :: sound

    integer(int64), parameter :: most = 2_int64**30

    sound = sound .and. extent >= 0 .and. extent <= most .and. size(extents) < 8
    if (sound) sound = extent*max(1_int64, product(int(extents, int64))) <= most
    if (sound) extents = [extents, int(extent)]
  end subroutine append

  !> Name, element type and shape of an input or output.
  pure subroutine read_value(bytes, message, item, sound)
    integer(int8), intent(in) :: bytes(:)
    type(span), intent(in) :: message
    type(onnx_value), intent(inout) :: item
    logical, intent(inout) :: sound

    type(span) :: rest, shape_message
    type(wire_field) :: field
    integer :: extent

    item%name = ''
    item%extents = [integer ::]
    rest = part_of(bytes, message, 1, sound)
    item%name = text_of(bytes, rest)

    ! The type holds a tensor's type, which holds the type of its elements and its shape.
    rest = part_of(bytes, part_of(bytes, message, 2, sound), 1, sound)
    shape_message = part_of(bytes, rest, 2, sound)
    do
      call next_field(bytes, rest, field, sound)
      if (field%number == 0) exit
      if (field%number == 1) item%element_type = int(iand(field%varint, 255_int64))
    end do
    do
      call next_field(bytes, shape_message, field, sound)
      if (field%number == 0) exit
      if (field%number /= 1 .or. field%wire /= WIRE_BYTES) cycle
      extent = -1
      rest = field%content
      do
        call next_field(bytes, rest, field, sound)
        if (field%number == 0) exit
        if (field%number == 1) extent = int(min(max(field%varint, 0_int64), int(huge(1), int64)))
      end do
      item%extents = [item%extents, extent]
    end do
  end subroutine read_value

  !> The content of a message's field; empty if it has none of that number.
  pure function part_of(bytes, message, number, sound) result(part)
    integer(int8), intent(in) :: bytes(:)
    type(span), intent(in) :: message
    integer, intent(in) :: number
    logical, intent(in) :: sound
    type(span) :: part

    type(span) :: rest
    type(wire_field) :: field
    logical :: still_sound

    part = span(1, 0)
    rest = message
    still_sound = sound
    do
      call next_field(bytes, rest, field, still_sound)
      if (field%number == 0) exit
      if (field%number == number .and. field%wire == WIRE_BYTES) part = field%content
    end do
  end function part_of

end module aeroact_onnx
