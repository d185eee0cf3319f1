!> The network in an ONNX file, for the native backend.
!!
!! Read are the graphs that `aeroact-export` writes, in any layout of the kernels:
!!
!!     Max, Min (bounds) - Split, Log, Concat - Sub (mean) - Gemm, Relu ... Gemm, Sigmoid
!!
!! After each Relu may stand a Mul of its result with itself, its square.
module aeroact_graph
  use, intrinsic :: iso_fortran_env, only: int8, real32
  use aeroact_native, only: native_create, native_network
  use aeroact_onnx, only: onnx_file, string, tensor_floats, tensor_integers
  use aeroact_schema, only: AEROACT_NMODES, AEROACT_NSTATE
  use aeroact_signature, only: input_name, output_name
  use aeroact_status, only: AEROACT_NO_MEMORY, AEROACT_NOT_NATIVE, AEROACT_OK, fail
  implicit none
  private

  public :: read_network

  !> How far the graph has been read.
  type :: reading
    integer :: next = 1
      !! the node to come
    character(len=:), allocatable :: current
      !! what the nodes before it have made of the state
    character(len=:), allocatable :: problem
      !! why it cannot be read; blank as long as it can
    logical :: squared = .false.
      !! whether the hidden layers have the square of ReLU
  end type reading

contains

  !> Make a native network of a model's graph.
  subroutine read_network(bytes, file, name, network, stat, errmsg)
    integer(int8), intent(in) :: bytes(:)
      !! the file's content
    type(onnx_file), intent(in) :: file
      !! and what it is made of
    character(len=*), intent(in) :: name
      !! the file, for the sentence
    type(native_network), intent(out) :: network
    integer, intent(out) :: stat
      !! `AEROACT_OK`, `AEROACT_NOT_NATIVE` or `AEROACT_NO_MEMORY`
    character(len=*), intent(out), optional :: errmsg

    real(real32), dimension(AEROACT_NSTATE) :: low, high, mean, std
    logical :: is_log(AEROACT_NSTATE), is_last
    type(reading) :: at
    integer, allocatable :: widths(:)
    real(real32), allocatable :: weights(:)

    at = reading(1, input_name, '', .false.)
    std = 1  ! an export divides the first kernel by it
    call read_vector(bytes, file, 'Max', at, low)
    call read_vector(bytes, file, 'Min', at, high)
    call read_logarithms(bytes, file, at, is_log)
    call read_vector(bytes, file, 'Sub', at, mean)
    widths = [AEROACT_NSTATE]
    weights = [real(real32) ::]
    is_last = .false.
    do while (at%problem == '' .and. .not. is_last)
      call read_layer(bytes, file, at, widths, weights, is_last)
    end do
    if (at%problem == '' .and. (at%current /= output_name &
      .or. widths(size(widths)) /= AEROACT_NMODES)) at%problem = 'it does not lead to its output'

    if (at%problem == '') then
      call native_create(network, widths, weights, low, high, is_log, low, mean, std, stat, &
        errmsg, at%squared)
      if (stat == AEROACT_OK .or. stat == AEROACT_NO_MEMORY) return
      at%problem = 'its numbers make no sense'
    end if
    call fail(AEROACT_NOT_NATIVE, "The network of '"//name//"' is not one that the native backend &
      &evaluates: "//at%problem//". Load it with backend 'ort', or export it with &
      &aeroact-export.", stat, errmsg)
  end subroutine read_network

  !> An operator with one number for each column of the state.
  pure subroutine read_vector(bytes, file, operator, at, vector)
    integer(int8), intent(in) :: bytes(:)
    type(onnx_file), intent(in) :: file
    character(len=*), intent(in) :: operator
    type(reading), intent(inout) :: at
    real(real32), intent(out) :: vector(AEROACT_NSTATE)

    real(real32), allocatable :: numbers(:)

    vector = 0
    call require(file, operator, 2, at)
    if (at%problem /= '') return
    allocate (numbers, source=floats_named(bytes, file, file%nodes(at%next)%inputs(2)%text))
    if (size(numbers) /= AEROACT_NSTATE) then
      at%problem = operator//' has not one number for each column'
      return
    end if
    vector = numbers
    call pass(file, at)
  end subroutine read_vector

  !> The columns of which the logarithm is taken: they are split off and then joined again.
  pure subroutine read_logarithms(bytes, file, at, is_log)
    integer(int8), intent(in) :: bytes(:)
    type(onnx_file), intent(in) :: file
    type(reading), intent(inout) :: at
    logical, intent(out) :: is_log(AEROACT_NSTATE)

    type(string), allocatable :: parts(:)
    logical, allocatable :: taken(:)
    integer, allocatable :: sizes(:)
    integer :: i, last

    is_log = .false.
    if (at%problem /= '' .or. operator_of(file, at%next) /= 'Split') return
    call require(file, 'Split', 2, at)
    if (at%problem /= '') return
    allocate (parts, source=file%nodes(at%next)%outputs)
    allocate (sizes, source=integers_named(bytes, file, file%nodes(at%next)%inputs(2)%text))
    at%problem = 'its columns are split and joined in an unusual way'
    if (size(sizes) /= size(parts) .or. file%nodes(at%next)%axis /= 1) return
    if (any(sizes < 0) .or. sum(sizes) /= AEROACT_NSTATE) return
    at%next = at%next + 1

    allocate (taken(size(parts)))
    taken = .false.
    do while (operator_of(file, at%next) == 'Log')
      associate (node => file%nodes(at%next))
        if (size(node%inputs) /= 1 .or. size(node%outputs) /= 1) return
        do i = 1, size(parts)
          if (parts(i)%text /= node%inputs(1)%text) cycle
          if (taken(i)) return
          taken(i) = .true.
          parts(i)%text = node%outputs(1)%text
          exit
        end do
      end associate
      at%next = at%next + 1
    end do

    if (operator_of(file, at%next) /= 'Concat') return
    associate (node => file%nodes(at%next))
      if (size(node%inputs) /= size(parts) .or. node%axis /= 1 .or. size(node%outputs) /= 1) return
      last = 0
      do i = 1, size(parts)
        if (node%inputs(i)%text /= parts(i)%text) return
        is_log(last + 1:last + sizes(i)) = taken(i)
        last = last + sizes(i)
      end do
      at%current = node%outputs(1)%text
    end associate
    at%next = at%next + 1
    at%problem = ''
  end subroutine read_logarithms

  !> A dense layer with its activation.
  pure subroutine read_layer(bytes, file, at, widths, weights, is_last)
    integer(int8), intent(in) :: bytes(:)
    type(onnx_file), intent(in) :: file
    type(reading), intent(inout) :: at
    integer, allocatable, intent(inout) :: widths(:)
      !! the layer's is appended
    real(real32), allocatable, intent(inout) :: weights(:)
      !! kernel and bias are appended; the weights of one input lie together
    logical, intent(out) :: is_last
      !! whether the activation is the sigmoid

    real(real32), allocatable :: kernel(:), bias(:)
    integer :: n_in, n_out

    is_last = .false.
    call require(file, 'Gemm', 3, at)
    if (at%problem /= '') return
    n_in = widths(size(widths))
    associate (node => file%nodes(at%next))
      allocate (kernel, source=floats_named(bytes, file, node%inputs(2)%text))
      allocate (bias, source=floats_named(bytes, file, node%inputs(3)%text))
      n_out = size(bias)
      if (n_out < 1 .or. size(kernel) /= n_in*n_out) then
        at%problem = 'a layer''s weights do not fit the layer before'
        return
      end if
      if (node%trans_b /= 0) &
        kernel = reshape(transpose(reshape(kernel, [n_in, n_out])), [n_in*n_out])
    end associate
    widths = [widths, n_out]
    weights = [weights, kernel, bias]
    call pass(file, at)

    select case (operator_of(file, at%next))
    case ('Sigmoid')
      is_last = .true.
      call require(file, 'Sigmoid', 1, at)
      if (at%problem == '') call pass(file, at)
    case default
      call require(file, 'Relu', 1, at)
      if (at%problem == '') call pass(file, at)
      call read_square(file, size(widths) == 2, at)
    end select
  end subroutine read_layer

  !> The square of a ReLU, if there is one; all hidden layers have it or none.
  pure subroutine read_square(file, is_first, at)
    type(onnx_file), intent(in) :: file
    logical, intent(in) :: is_first
      !! whether this is the first layer, which tells
    type(reading), intent(inout) :: at

    logical :: is_squared

    if (at%problem /= '') return
    is_squared = operator_of(file, at%next) == 'Mul'
    if (is_first) at%squared = is_squared
    if (is_squared .neqv. at%squared) at%problem = 'only some of its ReLUs are squared'
    if (.not. is_squared) return
    call require(file, 'Mul', 2, at)
    if (at%problem /= '') return
    if (file%nodes(at%next)%inputs(2)%text /= at%current) at%problem = 'Mul is not a square'
    call pass(file, at)
  end subroutine read_square

  !> See that the node to come is this operator, and that it is applied to what came last.
  pure subroutine require(file, operator, n_inputs, at)
    type(onnx_file), intent(in) :: file
    character(len=*), intent(in) :: operator
    integer, intent(in) :: n_inputs
    type(reading), intent(inout) :: at

    if (at%problem /= '') return
    if (operator_of(file, at%next) /= operator) then
      at%problem = "'"//operator_of(file, at%next)//"' stands where "//operator//' is expected'
      return
    end if
    associate (node => file%nodes(at%next))
      if (.not. node%plain .or. node%trans_a /= 0 .or. size(node%inputs) /= n_inputs &
        .or. size(node%outputs) < 1) then
        at%problem = operator//' has unusual attributes'
      else if (node%inputs(1)%text /= at%current) then
        at%problem = operator//' does not follow on what is before it'
      end if
    end associate
  end subroutine require

  !> Go on to the next node.
  pure subroutine pass(file, at)
    type(onnx_file), intent(in) :: file
    type(reading), intent(inout) :: at

    at%current = file%nodes(at%next)%outputs(1)%text
    at%next = at%next + 1
  end subroutine pass

  !> The operator of a node; blank after the last one.
  pure function operator_of(file, node) result(operator)
    type(onnx_file), intent(in) :: file
    integer, intent(in) :: node
    character(len=:), allocatable :: operator

    operator = ''
    if (node <= size(file%nodes)) operator = file%nodes(node)%operator
  end function operator_of

  !> The numbers of the constant of that name; none if there is none.
  pure function floats_named(bytes, file, name) result(numbers)
    integer(int8), intent(in) :: bytes(:)
    type(onnx_file), intent(in) :: file
    character(len=*), intent(in) :: name
    real(real32), allocatable :: numbers(:)

    integer :: i

    numbers = [real(real32) ::]
    do i = 1, size(file%constants)
      if (file%constants(i)%name == name) numbers = tensor_floats(bytes, file%constants(i))
    end do
  end function floats_named

  !> The integers of the constant of that name; none if there is none.
  pure function integers_named(bytes, file, name) result(numbers)
    integer(int8), intent(in) :: bytes(:)
    type(onnx_file), intent(in) :: file
    character(len=*), intent(in) :: name
    integer, allocatable :: numbers(:)

    integer :: i

    numbers = [integer ::]
    do i = 1, size(file%constants)
      if (file%constants(i)%name == name) numbers = tensor_integers(bytes, file%constants(i))
    end do
  end function integers_named

end module aeroact_graph
