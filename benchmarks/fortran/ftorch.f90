!> FTorch, as a contender of benchmarks/fortran.py: tensors made once, then the model's forward.
module contender
  use, intrinsic :: iso_c_binding, only: c_char, c_f_pointer, c_float, c_int, c_loc, c_null_ptr, &
    c_ptr
  use ftorch, only: torch_kCPU, torch_model, torch_model_forward, torch_model_load, &
    torch_tensor, torch_tensor_from_array
  use network_file, only: text
  implicit none
  private

  public :: contender_prepare, contender_repeat

  type :: prepared
    type(torch_model) :: model
    type(torch_tensor) :: state(1), fn(1)
  end type prepared

contains

  function contender_prepare(model, n, x, fn) result(pointer) bind(c)
    character(kind=c_char), intent(in) :: model(*)
    integer(c_int), value :: n
    type(c_ptr), value :: x, fn
    type(c_ptr) :: pointer

    integer, parameter :: c_order(2) = [2, 1]
    real(c_float), pointer, contiguous :: states(:, :), fractions(:, :)
    type(prepared), pointer :: created

    pointer = c_null_ptr
    allocate (created)
    call torch_model_load(created%model, text(model), torch_kCPU)
    call c_f_pointer(x, states, [int(n), 16])
    call c_f_pointer(fn, fractions, [int(n), 4])
    call torch_tensor_from_array(created%state(1), states, c_order, torch_kCPU)
    call torch_tensor_from_array(created%fn(1), fractions, c_order, torch_kCPU)
    pointer = c_loc(created)
  end function contender_prepare

  function contender_repeat(pointer, calls) result(status) bind(c)
    type(c_ptr), value :: pointer
    integer(c_int), value :: calls
    integer(c_int) :: status

    type(prepared), pointer :: used
    integer :: call_number

    call c_f_pointer(pointer, used)
    do call_number = 1, calls
      call torch_model_forward(used%model, used%state, used%fn)
    end do
    status = 0
  end function contender_repeat

end module contender
