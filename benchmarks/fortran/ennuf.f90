!> ENNUF, as a contender of benchmarks/fortran.py: the layers alone, a state at a time.
!!
!! What ENNUF generates is these calls, with the weights in DATA statements. For a network of three
!! layers of 32 nodes it took 1.4 times as long as this, for larger ones the same.
module contender
  use, intrinsic :: iso_c_binding, only: c_char, c_f_pointer, c_float, c_int, c_loc, c_null_ptr, &
    c_ptr
  use network_file, only: plain_network, read_network
  use neural_net_mod, only: activation_function, dense
  implicit none
  private

  public :: contender_prepare, contender_repeat

  type :: prepared
    type(plain_network) :: network
    real(c_float), allocatable :: a(:), b(:)
    real(c_float), pointer, contiguous :: x(:, :), fn(:, :)
  end type prepared

contains

  function contender_prepare(model, n, x, fn) result(pointer) bind(c)
    character(kind=c_char), intent(in) :: model(*)
    integer(c_int), value :: n
    type(c_ptr), value :: x, fn
    type(c_ptr) :: pointer

    type(prepared), pointer :: created
    logical :: found

    pointer = c_null_ptr
    allocate (created)
    call read_network(model, created%network, found)
    if (.not. found) return
    allocate (created%a(maxval(created%network%widths)), created%b(maxval(created%network%widths)))
    call c_f_pointer(x, created%x, [16, int(n)])
    call c_f_pointer(fn, created%fn, [4, int(n)])
    pointer = c_loc(created)
  end function contender_prepare

  function contender_repeat(pointer, calls) result(status) bind(c)
    type(c_ptr), value :: pointer
    integer(c_int), value :: calls
    integer(c_int) :: status

    type(prepared), pointer :: used
    integer :: call_number, column

    call c_f_pointer(pointer, used)
    do call_number = 1, calls
      do column = 1, size(used%x, 2)
        call predict(used%network, used%x(:, column), used%a, used%b, used%fn(:, column))
      end do
    end do
    status = 0
  end function contender_repeat

  subroutine predict(network, x, a, b, fn)
    type(plain_network), intent(in) :: network
    real(c_float), intent(in) :: x(16)
    real(c_float), intent(inout) :: a(:), b(:)
    real(c_float), intent(out) :: fn(4)

    integer :: first, i, n_in, n_layers, n_out

    n_layers = size(network%widths) - 1
    a(:16) = x
    first = 0
    do i = 1, n_layers
      n_in = int(network%widths(i))
      n_out = int(network%widths(i + 1))
      associate (kernel => network%weights(first + 1:first + n_in*n_out), &
        bias => network%weights(first + n_in*n_out + 1:first + (n_in + 1)*n_out))
        call dense(a, b, 1, n_in, n_out, kernel, bias)
      end associate
      if (i < n_layers) then
        call activation_function(b, a, 1, n_out, 'relu      ')
      else
        call activation_function(b, fn, 1, n_out, 'sigmoid   ')
      end if
      first = first + (n_in + 1)*n_out
    end do
  end subroutine predict

end module contender
