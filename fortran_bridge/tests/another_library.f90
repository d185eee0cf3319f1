!> A function of no use to anybody: its library is not ONNX Runtime.
function answer() bind(c) result(number)
  use, intrinsic :: iso_c_binding, only: c_int
  implicit none
  integer(c_int) :: number

  number = 42
end function answer
