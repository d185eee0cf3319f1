!> E3SM's saturation vapour pressure: Goff and Gratch (1946), blended towards ice, from a table.
!!
!! Below the melting point the curve goes from liquid water to ice over 20 K, and E3SM interpolates
!! linearly between whole kelvins. Both change activated fractions of mixed-phase clouds, by up to
!! 0.01.
!! Source: E3SM, `components/eam/src/physics/cam/wv_saturation.F90`, BSD-3-Clause.
module aeroact_saturation
  use, intrinsic :: iso_fortran_env, only: real64
  implicit none
  private

  public :: saturation_vapour_pressure

  integer, parameter :: LAST = 248
  real(real64), parameter :: START = 127.16_real64
    !! temperature of entry 0, K; the entries are 1 K apart
  real(real64), parameter :: MELTING_POINT = 273.15_real64
  real(real64), parameter :: BLEND = 20
    !! K below the melting point where it is all ice

  integer :: i
  real(real64), parameter :: tair(0:LAST) = [(START + i, i=0, LAST)]
  real(real64), parameter :: boiling(0:LAST) = 373.16_real64/tair
  real(real64), parameter :: freezing(0:LAST) = 273.16_real64/tair
  real(real64), parameter :: log_water(0:LAST) = -7.90298_real64*(boiling - 1) &
    + 5.02808_real64*log10(boiling) &
    - 1.3816e-7_real64*(10**(11.344_real64*(1 - 1/boiling)) - 1) &
    + 8.1328e-3_real64*(10**(-3.49149_real64*(boiling - 1)) - 1) + log10(1013.246_real64)
  real(real64), parameter :: log_ice(0:LAST) = -9.09718_real64*(freezing - 1) &
    - 3.56654_real64*log10(freezing) + 0.876793_real64*(1 - 1/freezing) + log10(6.1071_real64)
  real(real64), parameter :: ice(0:LAST) = min(max((MELTING_POINT - tair)/BLEND, &
    0.0_real64), 1.0_real64)
  real(real64), parameter :: table(0:LAST) = 100*(ice*10**log_ice + (1 - ice)*10**log_water)
    !! Pa; the compiler computes it

contains

  !> Saturation vapour pressure; beyond the table's ends that of the ends, as in E3SM.
  pure recursive function saturation_vapour_pressure(temperature) result(pressure)
    real(real64), intent(in) :: temperature
      !! K
    real(real64) :: pressure
      !! Pa

    real(real64) :: part, position
    integer :: entry

    position = min(max(temperature - START, 0.0_real64), real(LAST, real64))
    entry = min(int(position), LAST - 1)
    part = position - entry
    pressure = (1 - part)*table(entry) + part*table(entry + 1)
  end function saturation_vapour_pressure

end module aeroact_saturation
