!> The caller's floating-point environment, put aside while foreign code computes.
!!
!! A host model may trap IEEE exceptions, and operators of a network raise them on harmless states.
!! The functions are C's own: a Fortran procedure that sets halting modes gives them back at its
!! end, as the standard demands, so that the intrinsic modules cannot do this in a procedure.
module aeroact_traps
  use, intrinsic :: iso_c_binding, only: c_int, c_int64_t
  implicit none
  private

  public :: hold_traps, restore_traps

  !> Room for C's `fenv_t`, which is 32 bytes on x86-64 and less or little more elsewhere.
  type, public, bind(c) :: environment
    private
    integer(c_int64_t) :: opaque(32)
  end type environment

  interface
    function c_feholdexcept(kept) bind(c, name='feholdexcept') result(code)
      import :: c_int, environment
      type(environment), intent(out) :: kept
      integer(c_int) :: code
    end function c_feholdexcept

    function c_fesetenv(kept) bind(c, name='fesetenv') result(code)
      import :: c_int, environment
      type(environment), intent(in) :: kept
      integer(c_int) :: code
    end function c_fesetenv
  end interface

contains

  !> Keep the caller's flags and traps, and let nothing trap until they are restored.
  recursive subroutine hold_traps(kept)
    type(environment), intent(out) :: kept
    integer(c_int) :: ignored

    ignored = c_feholdexcept(kept)
  end subroutine hold_traps

  !> Give the caller its flags and traps back, and forget the flags raised meanwhile.
  recursive subroutine restore_traps(kept)
    type(environment), intent(in) :: kept
    integer(c_int) :: ignored

    ignored = c_fesetenv(kept)
  end subroutine restore_traps

end module aeroact_traps
