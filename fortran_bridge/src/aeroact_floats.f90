!> Single-precision numbers looked at by their bits.
!!
!! A comparison with a NaN could raise an IEEE flag, which a host model may trap, and -ffast-math
!! takes NaNs for impossible.
module aeroact_floats
  use, intrinsic :: iso_fortran_env, only: int32, real32
  implicit none
  private

  public :: is_finite, all_finite, is_fraction, all_fractions, quiet_nan

  integer(int32), parameter, public :: infinity_bits = int(z'7F800000', int32)
    !! the bits of infinity; those of a NaN are above, its sign aside
  integer(int32), parameter :: one_bits = int(z'3F800000', int32)
  integer(int32), parameter :: nan_bits = int(z'7FC00000', int32)

contains

  !> Whether a number is neither NaN nor infinite.
  elemental function is_finite(number)
    real(real32), intent(in) :: number
    logical :: is_finite

    is_finite = iand(transfer(number, infinity_bits), infinity_bits) /= infinity_bits
  end function is_finite

  !> Whether all n numbers are neither NaN nor infinite.
  pure recursive function all_finite(numbers, n)
    integer, intent(in) :: n
    real(real32), intent(in) :: numbers(n)
    logical :: all_finite

    integer(int32) :: found
    integer :: i

    found = 0
    !$omp simd reduction(ior: found)
    do i = 1, n
      found = ior(found, merge(1_int32, 0_int32, &
        iand(transfer(numbers(i), infinity_bits), infinity_bits) == infinity_bits))
    end do
    all_finite = found == 0
  end function all_finite

  !> Whether a number lies in [0, 1].
  elemental function is_fraction(number)
    real(real32), intent(in) :: number
    logical :: is_fraction

    integer(int32) :: bits

    ! Of positive numbers the order is that of their bits; what is negative has negative bits.
    bits = transfer(number, bits)
    is_fraction = bits >= 0 .and. bits <= one_bits
  end function is_fraction

  !> Whether all n numbers lie in [0, 1].
  pure recursive function all_fractions(numbers, n)
    integer, intent(in) :: n
    real(real32), intent(in) :: numbers(n)
    logical :: all_fractions

    integer(int32) :: bits, found
    integer :: i

    found = 0
    !$omp simd private(bits) reduction(ior: found)
    do i = 1, n
      bits = transfer(numbers(i), bits)
      ! Either difference is negative if the number is outside: the sign bit collects it.
      found = ior(found, ior(bits, one_bits - iand(bits, huge(bits))))
    end do
    all_fractions = found >= 0
  end function all_fractions

  !> A NaN that raises no flag when it is copied.
  pure recursive function quiet_nan()
    real(real32) :: quiet_nan

    quiet_nan = transfer(nan_bits, quiet_nan)
  end function quiet_nan

end module aeroact_floats
