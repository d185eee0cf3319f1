!> Activation by the parameterization of Abdul-Razzak and Ghan, as E3SM computes it.
!!
!! What E3SM's `activate_modal` gives for one updraft, the four modes of MAM4 and
!! `fix_g1_err_ndrop = .true.`: its constants, its saturation vapour pressure, its ways with an
!! empty mode. MKS units throughout.
!!
!! Sources: Abdul-Razzak and Ghan (2000), doi:10.1029/1999JD901161; Ghan et al. (2011),
!! doi:10.1029/2011MS000074; E3SM, `components/eam/src/physics/cam/ndrop.F90`, BSD-3-Clause.
module aeroact_arg2000
  use, intrinsic :: iso_fortran_env, only: real64
  use aeroact_saturation, only: saturation_vapour_pressure
  use aeroact_schema, only: AEROACT_NMODES
  implicit none
  private

  public :: arg2000, maximum_supersaturation, is_empty, dry_radius_cubed

  real(real64), parameter, public :: MAM4_LN_SIGMA(AEROACT_NMODES) = &
    log([1.8_real64, 1.6_real64, 1.8_real64, 1.6_real64])
    !! Logarithm of the geometric standard deviations of MAM4's modes.
  real(real64), parameter, public :: DRY_AIR_GAS_CONSTANT = 287.0423114_real64
    !! J kg-1 K-1

  real(real64), parameter :: PI = 3.14159265358979323846_real64
  real(real64), parameter :: GRAVITY = 9.80616_real64
  real(real64), parameter :: HEAT_CAPACITY = 1004.64_real64
  real(real64), parameter :: LATENT_HEAT = 2.501e6_real64
  real(real64), parameter :: VAPOUR_GAS_CONSTANT = 461.5046398_real64
  real(real64), parameter :: WATER_DENSITY = 1000
  real(real64), parameter :: T0 = 273
  real(real64), parameter :: P0 = 101325
  real(real64), parameter :: MASS_RATIO = 18.016_real64/28.966_real64
  real(real64), parameter :: KELVIN_LENGTH = &
    2*18.016_real64*0.076_real64/(8314.467591_real64*T0*WATER_DENSITY)
  real(real64), parameter :: NO_PARTICLES = 1e-39_real64
  real(real64), parameter :: INSOLUBLE = 1e-10_real64
  real(real64), parameter :: MAX_UPDRAFT = 10
    !! m s-1, of a spectrum of updrafts; it only enters for an empty mode

  real(real64), parameter :: F1(AEROACT_NMODES) = 0.5_real64*exp(2.5_real64*MAM4_LN_SIGMA**2)
  real(real64), parameter :: F2(AEROACT_NMODES) = 1 + 0.25_real64*MAM4_LN_SIGMA
  real(real64), parameter :: CUBE_OF_VOLUME(AEROACT_NMODES) = &
    3/(4*PI*exp(4.5_real64*MAM4_LN_SIGMA**2))
  real(real64), parameter :: SLOPE(AEROACT_NMODES) = 2/(3*sqrt(2.0_real64)*MAM4_LN_SIGMA)
  real(real64), parameter :: MASS_SHIFT(AEROACT_NMODES) = 1.5_real64*sqrt(2.0_real64)*MAM4_LN_SIGMA

contains

  !> Activated fractions of one point. Without an updraft nothing activates.
  !!
  !! The state must be finite, and temperature and density positive; then no IEEE flag is raised
  !! that a host would trap.
  pure recursive subroutine arg2000(wbar, tair, rhoair, na, volume, hygro, fn, fm, smax)
    real(real64), intent(in) :: wbar
      !! updraft velocity, m s-1
    real(real64), intent(in) :: tair
      !! temperature, K
    real(real64), intent(in) :: rhoair
      !! air density, kg m-3
    real(real64), intent(in) :: na(AEROACT_NMODES)
      !! number of particles, m-3
    real(real64), intent(in) :: volume(AEROACT_NMODES)
      !! volume of the particles, m3 m-3
    real(real64), intent(in) :: hygro(AEROACT_NMODES)
      !! hygroscopicity, 1
    real(real64), intent(out) :: fn(AEROACT_NMODES)
      !! activated fraction of the number
    real(real64), intent(out) :: fm(AEROACT_NMODES)
      !! activated fraction of the mass
    real(real64), intent(out) :: smax
      !! maximum supersaturation, 1

    real(real64), dimension(AEROACT_NMODES) :: critical, eta
    real(real64) :: alpha, conductivity, diffusivity, es, forcing, forcing15, growth, latent, &
      pressure, qs, sink, sqrt_growth, u, vapour_factor, zeta
    integer :: m

    if (wbar <= 0) then
      fn = 0
      fm = 0
      smax = 0
      return
    end if

    pressure = DRY_AIR_GAS_CONSTANT*rhoair*tair
    es = saturation_vapour_pressure(tair)
    qs = 1  ! where water would boil, as in E3SM
    if (es < pressure) qs = MASS_RATIO*es/(pressure - (1 - MASS_RATIO)*es)
    diffusivity = 0.211e-4_real64*(P0/pressure)*(tair/T0)**1.94_real64
    conductivity = (5.69_real64 + 0.017_real64*(tair - T0))*4.186e-3_real64
    latent = LATENT_HEAT/(VAPOUR_GAS_CONSTANT*tair)

    alpha = GRAVITY/tair*(latent/HEAT_CAPACITY - 1/DRY_AIR_GAS_CONSTANT)
    vapour_factor = (1 + LATENT_HEAT/HEAT_CAPACITY*latent/tair*qs)/(rhoair*qs)
    growth = 1/(WATER_DENSITY/(diffusivity*rhoair*qs) &
      + LATENT_HEAT*WATER_DENSITY/(conductivity*tair)*(latent - 1))
    sqrt_growth = sqrt(growth)
    sink = 2*PI*WATER_DENSITY*growth*vapour_factor

    forcing = alpha*wbar
    forcing15 = forcing*sqrt(forcing)
    zeta = 2*KELVIN_LENGTH*sqrt(forcing)/(3*sqrt_growth)
    do m = 1, AEROACT_NMODES
      if (is_empty(na(m), volume(m))) then
        critical(m) = 1
        ! A large eta, so that the mode takes no water.
        eta(m) = 1e10_real64*forcing15/(alpha*MAX_UPDRAFT*sqrt(alpha*MAX_UPDRAFT))
      else
        critical(m) = 100
        if (hygro(m) > INSOLUBLE) critical(m) = 2*KELVIN_LENGTH &
          *sqrt(KELVIN_LENGTH/(27*hygro(m)*dry_radius_cubed(m, na(m), volume(m))))
        eta(m) = forcing15/(na(m)*sink*sqrt_growth)
      end if
    end do

    smax = maximum_supersaturation(zeta, eta, critical)
    do m = 1, AEROACT_NMODES
      u = SLOPE(m)*log(critical(m)/smax)
      fn(m) = 0.5_real64*(1 - erf(u))
      fm(m) = 0.5_real64*(1 - erf(u - MASS_SHIFT(m)))
    end do
  end subroutine arg2000

  !> Maximum supersaturation of competing modes: E3SM's `maxsat`.
  pure recursive function maximum_supersaturation(zeta, eta, critical) result(smax)
    real(real64), intent(in) :: zeta
      !! the first dimensionless number of Abdul-Razzak and Ghan, the same for all modes
    real(real64), intent(in) :: eta(AEROACT_NMODES)
      !! the second one
    real(real64), intent(in) :: critical(AEROACT_NMODES)
      !! critical supersaturation of a particle of the median radius, 1
    real(real64) :: smax
      !! maximum supersaturation, 1

    real(real64) :: growth, ratio, total
    integer :: m

    if (all(zeta > 1e5_real64*eta .or. critical**2 > 1e5_real64*eta)) then
      smax = 1e-20_real64  ! weak forcing: nothing activates
      return
    end if

    total = 0
    do m = 1, AEROACT_NMODES
      if (eta(m) > 1e-20_real64) then
        ratio = zeta/eta(m)
        growth = F1(m)*ratio*sqrt(ratio)
        ratio = critical(m)/sqrt(eta(m) + 3*zeta)
        total = total + (growth + F2(m)*ratio*sqrt(ratio))/critical(m)**2
      else
        total = 1e20_real64
      end if
    end do
    smax = 1/sqrt(total)
  end function maximum_supersaturation

  !> Whether E3SM takes a mode for empty.
  pure recursive function is_empty(number, volume)
    real(real64), intent(in) :: number
      !! m-3
    real(real64), intent(in) :: volume
      !! m3 m-3
    logical :: is_empty

    is_empty = number <= NO_PARTICLES .or. volume <= NO_PARTICLES
  end function is_empty

  !> Cube of the number-median dry radius of a mode that is not empty, m3.
  pure recursive function dry_radius_cubed(mode, number, volume) result(cube)
    integer, intent(in) :: mode
      !! 1 to 4
    real(real64), intent(in) :: number
      !! m-3
    real(real64), intent(in) :: volume
      !! m3 m-3
    real(real64) :: cube

    cube = CUBE_OF_VOLUME(mode)*volume/number
  end function dry_radius_cubed

end module aeroact_arg2000
