!> The plain file in which benchmarks/fortran.py hands a network to those that read no ONNX.
module network_file
  use, intrinsic :: iso_c_binding, only: c_char, c_null_char
  use, intrinsic :: iso_fortran_env, only: error_unit, int32, real32
  implicit none
  private

  public :: read_network, text

  integer, parameter :: NSTATE = 16

  !> Layers, and what stands in front of them.
  type, public :: plain_network
    integer(int32), allocatable :: widths(:)
      !! 16, the nodes of the hidden layers, 4
    real(real32), allocatable :: weights(:)
      !! kernel, then bias, of one layer after another; the weights of one input lie together
    real(real32), dimension(NSTATE) :: low, high, floor, mean, std
    integer(int32) :: is_log(NSTATE)
  end type plain_network

contains

  !> Read a network; `found` says whether it worked.
  subroutine read_network(path, network, found)
    character(kind=c_char), intent(in) :: path(*)
    type(plain_network), intent(out) :: network
    logical, intent(out) :: found

    integer(int32) :: n_layers
    integer :: status, unit

    open (newunit=unit, file=text(path), access='stream', form='unformatted', action='read', &
      iostat=status)
    found = status == 0
    if (.not. found) then
      write (error_unit, '(2a)') 'no file ', text(path)
      return
    end if
    read (unit) n_layers
    allocate (network%widths(n_layers + 1))
    read (unit) network%widths
    associate (widths => network%widths)
      allocate (network%weights(sum((widths(:n_layers) + 1)*widths(2:))))
    end associate
    read (unit) network%weights, network%low, network%high, network%floor, network%mean, &
      network%std, network%is_log
    close (unit)
  end subroutine read_network

  !> A C string as a Fortran string.
  function text(string)
    character(kind=c_char), intent(in) :: string(*)
    character(len=:), allocatable :: text

    integer :: i, length

    length = 0
    do while (string(length + 1) /= c_null_char)
      length = length + 1
    end do
    allocate (character(len=length) :: text)
    do i = 1, length
      text(i:i) = string(i)
    end do
  end function text

end module network_file
