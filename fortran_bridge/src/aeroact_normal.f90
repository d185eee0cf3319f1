!> The quantile of the normal distribution.
module aeroact_normal
  use, intrinsic :: iso_fortran_env, only: real64
  implicit none
  private

  public :: normal_quantile

contains

  !> The z below which a fraction p of a standard normal distribution lies: sqrt(2) erfinv(2 p - 1).
  !!
  !! Good to 1e-7 of z, which is what fractions in single precision are worth. No IEEE flag that a
  !! host would trap is raised for p above 0 and below 1.
  !!
  !! Source: Wichura (1988), Algorithm AS 241 (PPND7), doi:10.2307/2347330.
  pure recursive function normal_quantile(p) result(z)
    real(real64), intent(in) :: p
      !! above 0 and below 1
    real(real64) :: z

    real(real64) :: q, r

    q = p - 0.5_real64
    if (abs(q) <= 0.425_real64) then
      r = 0.180625_real64 - q**2
      z = q*(((59.10937472_real64*r + 159.29113202_real64)*r + 50.434271938_real64)*r &
        + 3.3871327179_real64) &
        /(((67.1875636_real64*r + 78.757757664_real64)*r + 17.895169469_real64)*r + 1)
      return
    end if

    r = sqrt(-log(min(p, 1 - p)))
    if (r <= 5) then
      r = r - 1.6_real64
      z = (((0.17023821103_real64*r + 1.3067284816_real64)*r + 2.75681539_real64)*r &
        + 1.4234372777_real64)/((0.12021132975_real64*r + 0.7370016425_real64)*r + 1)
    else
      r = r - 5
      z = (((0.017337203997_real64*r + 0.42868294337_real64)*r + 3.081226386_real64)*r &
        + 6.657905115_real64)/((0.012258202635_real64*r + 0.24197894225_real64)*r + 1)
    end if
    z = sign(z, q)
  end function normal_quantile

end module aeroact_normal
