!> neural-fortran, as a contender of benchmarks/fortran.py: the layers alone.
module contender
  use, intrinsic :: iso_c_binding, only: c_char, c_f_pointer, c_float, c_int, c_loc, c_null_ptr, &
    c_ptr
  use nf, only: dense, input, layer, network, relu, sigmoid
  use network_file, only: plain_network, read_network
  implicit none
  private

  public :: contender_prepare, contender_repeat

  type :: prepared
    type(network) :: net
    real(c_float), pointer, contiguous :: x(:, :), fn(:, :)
  end type prepared

contains

  function contender_prepare(model, n, x, fn) result(pointer) bind(c)
    character(kind=c_char), intent(in) :: model(*)
    integer(c_int), value :: n
    type(c_ptr), value :: x, fn
    type(c_ptr) :: pointer

    type(plain_network) :: plain
    type(layer), allocatable :: layers(:)
    type(prepared), pointer :: created
    logical :: found
    integer :: i, n_layers

    pointer = c_null_ptr
    call read_network(model, plain, found)
    if (.not. found) return
    n_layers = size(plain%widths) - 1
    allocate (layers(n_layers + 1), created)
    layers(1) = input(int(plain%widths(1)))
    do i = 2, n_layers
      layers(i) = dense(int(plain%widths(i)), relu())
    end do
    layers(n_layers + 1) = dense(int(plain%widths(n_layers + 1)), sigmoid())
    created%net = network(layers)
    call created%net%set_params(outputs_first(plain))
    call c_f_pointer(x, created%x, [16, int(n)])
    call c_f_pointer(fn, created%fn, [4, int(n)])
    pointer = c_loc(created)
  end function contender_prepare

  !> The weights with those of one output together.
  pure function outputs_first(plain) result(params)
    type(plain_network), intent(in) :: plain
    real(c_float), allocatable :: params(:)

    integer :: first, i, n_in, n_out

    params = plain%weights
    first = 0
    do i = 1, size(plain%widths) - 1
      n_in = int(plain%widths(i))
      n_out = int(plain%widths(i + 1))
      params(first + 1:first + n_in*n_out) = reshape(transpose(reshape( &
        plain%weights(first + 1:first + n_in*n_out), [n_out, n_in])), [n_in*n_out])
      first = first + (n_in + 1)*n_out
    end do
  end function outputs_first

  function contender_repeat(pointer, calls) result(status) bind(c)
    type(c_ptr), value :: pointer
    integer(c_int), value :: calls
    integer(c_int) :: status

    type(prepared), pointer :: used
    integer :: call_number

    call c_f_pointer(pointer, used)
    do call_number = 1, calls
      if (size(used%x, 2) == 1) then
        used%fn(:, 1) = used%net%predict(used%x(:, 1))
      else
        used%fn(:, :) = used%net%predict_batch(used%x)
      end if
    end do
    status = 0
  end function contender_repeat

end module contender
