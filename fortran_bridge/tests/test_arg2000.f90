!> ARG2000 against Python's, against E3SM's own numbers, and at its edges.
program test_arg2000
  use, intrinsic :: ieee_arithmetic, only: ieee_divide_by_zero, ieee_get_flag, ieee_invalid, &
    ieee_overflow, ieee_set_flag
  use, intrinsic :: iso_fortran_env, only: real64
  use aeroact_arg2000, only: arg2000, maximum_supersaturation
  use aeroact_normal, only: normal_quantile
  use aeroact_saturation, only: saturation_vapour_pressure
  use testing, only: argument, check, data_file, finish, read_columns
  implicit none

  integer, parameter :: SKIPPED = 77
  real(real64), dimension(4) :: fn, fm
  real(real64) :: smax

  ! A point from which the cases at the edges start.
  real(real64), parameter :: wbar = 0.3_real64, tair = 280, rhoair = 1.1_real64
  real(real64), parameter :: na(4) = [5e8_real64, 8e8_real64, 1e6_real64, 1e8_real64]
  real(real64), parameter :: volume(4) = [2e-12_real64, 2e-14_real64, 2e-11_real64, 3e-14_real64]
  real(real64), parameter :: hygro(4) = [0.4_real64, 0.3_real64, 1.0_real64, 1e-7_real64]

  select case (argument(1))
  case ('python')
    call like_python()
  case ('e3sm_activate_modal')
    call like_activate_modal()
  case ('e3sm_factnum')
    call like_factnum()
  case ('e3sm_maxsat')
    call like_maxsat()
  case ('maxsat_tiny_eta')
    call maxsat_tiny_eta()
  case ('no_updraft')
    call no_updraft()
  case ('empty_modes')
    call empty_modes()
  case ('insoluble')
    call insoluble()
  case ('no_flags')
    call no_flags()
  case ('saturation')
    call saturation()
  case ('quantile')
    call quantile()
  end select
  call finish()

contains

  subroutine like_python()
    real(real64), allocatable :: points(:, :)
    real(real64) :: fn_error, smax_error
    integer :: i

    call read_points('arg2000.txt', 20, 4000, points)
    fn_error = 0
    smax_error = 0
    do i = 1, size(points, 2)
      call activate(points(:, i))
      fn_error = max(fn_error, maxval(abs(fn - points(16:19, i))))
      smax_error = max(smax_error, abs(smax/points(20, i) - 1))
    end do
    call check(fn_error < 1e-12_real64, 'fn is not what Python gives')
    call check(smax_error < 1e-12_real64, 'smax is not what Python gives')
  end subroutine like_python

  subroutine like_activate_modal()
    real(real64), allocatable :: points(:, :)
    integer :: i

    call read_points('e3sm_activate_modal.txt', 32, 20, points)
    do i = 1, size(points, 2)
      call activate(points(:, i))
      call check(all(abs(fn - points(16:19, i)) < 1e-8_real64), 'fn is not what E3SM gives')
      call check(all(abs(fm - points(20:23, i)) < 1e-8_real64), 'fm is not what E3SM gives')
      associate (w => points(1, i))
        call check(all(abs(fn*w - points(24:27, i)) < 1e-8_real64), 'fluxn is not what E3SM gives')
        call check(all(abs(fm*w - points(28:31, i)) < 1e-8_real64), 'fluxm is not what E3SM gives')
      end associate
    end do
  end subroutine like_activate_modal

  subroutine like_factnum()
    real(real64), allocatable :: points(:, :)
    integer :: i

    call read_points('e3sm_factnum.txt', 19, 111, points)
    do i = 1, size(points, 2)
      call activate(points(:, i))
      call check(all(abs(fn - points(16:19, i)) < 1e-8_real64), 'fn is not what E3SM gives')
    end do
  end subroutine like_factnum

  subroutine like_maxsat()
    real(real64), allocatable :: calls(:, :)
    integer :: i

    call read_points('e3sm_maxsat.txt', 10, 20, calls)
    do i = 1, size(calls, 2)
      associate (zeta => calls(1, i), eta => calls(2:5, i), critical => calls(6:9, i))
        smax = maximum_supersaturation(zeta, eta, critical)
      end associate
      call check(abs(smax/calls(10, i) - 1) < 1e-6_real64, 'smax is not what E3SM gives')
    end do
  end subroutine like_maxsat

  !> What E3SM puts in for a mode whose eta is next to nothing; it drops the modes before it.
  subroutine maxsat_tiny_eta()
    real(real64), parameter :: eta(4) = [1e-3_real64, 1e-2_real64, 1e-3_real64, 1e-21_real64]
    real(real64), parameter :: critical(4) = 1e-3_real64

    smax = maximum_supersaturation(1e-6_real64, eta, critical)
    call check(abs(smax/1e-10_real64 - 1) < 1e-12_real64, 'smax with a tiny eta')
    smax = maximum_supersaturation(1.0_real64, 1e-6_real64*eta, critical)
    call check(abs(smax/1e-20_real64 - 1) < 1e-12_real64, 'smax of weak forcing')
  end subroutine maxsat_tiny_eta

  subroutine no_updraft()
    real(real64), parameter :: none(3) = [0.0_real64, -1e-300_real64, -5.0_real64]
    integer :: i

    do i = 1, size(none)
      fn = 7
      fm = 7
      call arg2000(none(i), tair, rhoair, na, volume, hygro, fn, fm, smax)
      call check(.not. any(abs(fn) > 0 .or. abs(fm) > 0), 'something activates without an updraft')
      call check(.not. abs(smax) > 0, 'there is a supersaturation without an updraft')
    end do
  end subroutine no_updraft

  !> An empty mode takes no water: the others activate as if it held next to nothing.
  subroutine empty_modes()
    real(real64) :: emptied(4), fn_nearly(4), nearly(4), smax_full, smax_nearly
    integer :: i

    call arg2000(wbar, tair, rhoair, na, volume, hygro, fn, fm, smax_full)
    nearly = [1.0_real64, 1e-15_real64, 1.0_real64, 1.0_real64]
    call arg2000(wbar, tair, rhoair, nearly*na, nearly*volume, hygro, fn_nearly, fm, smax_nearly)
    do i = 1, 2
      emptied = merge(na, volume, i == 1)
      emptied(2) = 1e-39_real64
      if (i == 1) call arg2000(wbar, tair, rhoair, emptied, volume, hygro, fn, fm, smax)
      if (i == 2) call arg2000(wbar, tair, rhoair, na, emptied, hygro, fn, fm, smax)
      call check(abs(smax/smax_nearly - 1) < 1e-6_real64, 'an empty mode takes water')
      call check(smax > 1.01_real64*smax_full, 'a full mode takes no water')
      call check(all(abs(fn([1, 3, 4]) - fn_nearly([1, 3, 4])) < 1e-6_real64), 'the other modes')
      call check(fn(2) < 1e-3_real64, 'an empty mode activates')
    end do
    call arg2000(wbar, tair, rhoair, 0*na, 0*volume, hygro, fn, fm, smax)
    call check(all(fn >= 0 .and. fn <= 1), 'all modes empty: no fractions')
  end subroutine empty_modes

  !> At 1e-10 a hygroscopicity ends to count, and the critical supersaturation is 100.
  subroutine insoluble()
    real(real64) :: few(4), huge_particles(4), kappa(4)

    few = na
    few(1) = 1  ! of a millimetre
    huge_particles = volume
    huge_particles(1) = 2e-8_real64
    kappa = hygro
    kappa(1) = 1.001e-10_real64
    call arg2000(wbar, tair, rhoair, few, huge_particles, kappa, fn, fm, smax)
    call check(fn(1) > 0.9_real64, 'huge particles of next to no hygroscopicity do not activate')
    kappa(1) = 1e-10_real64
    call arg2000(wbar, tair, rhoair, few, huge_particles, kappa, fn, fm, smax)
    call check(fn(1) < 1e-6_real64, 'insoluble particles activate')
  end subroutine insoluble

  !> No flag that a host would trap, at the ends of what a finite state may hold.
  subroutine no_flags()
    real(real64), parameter :: w(4) = [1e-300_real64, 1e-6_real64, 1.0_real64, 1e5_real64]
    real(real64), parameter :: t(5) = [1e-3_real64, 127.0_real64, 250.0_real64, 400.0_real64, &
      900.0_real64]
    real(real64), parameter :: rho(3) = [1e-29_real64, 1.0_real64, 900.0_real64]
    real(real64), parameter :: n(4) = [-1.0_real64, 1.1e-39_real64, 1e8_real64, 1e29_real64]
    real(real64), parameter :: v(4) = [0.0_real64, 1.1e-39_real64, 1e-13_real64, 1e29_real64]
    real(real64), parameter :: kappa(4) = [-1.0_real64, 1.1e-10_real64, 1.0_real64, 1e9_real64]
    logical :: divided, finite, invalid, overflowed
    integer :: i, j, k, l, m

    finite = .true.
    call ieee_set_flag([ieee_invalid, ieee_divide_by_zero, ieee_overflow], .false.)
    do i = 1, size(w)
      do j = 1, size(t)
        do k = 1, size(rho)
          do l = 0, 3
            do m = 0, 3
              call arg2000(w(i), t(j), rho(k), n, cshift(v, l), cshift(kappa, m), fn, fm, smax)
              finite = finite .and. all(fn >= 0 .and. fn <= 1 .and. fm >= 0 .and. fm <= 1) &
                .and. smax >= 0
            end do
          end do
        end do
      end do
    end do
    call ieee_get_flag(ieee_invalid, invalid)
    call ieee_get_flag(ieee_divide_by_zero, divided)
    call ieee_get_flag(ieee_overflow, overflowed)
    call check(finite, 'fractions outside [0, 1]')
    call check(.not. (invalid .or. divided .or. overflowed), 'a flag is raised')
  end subroutine no_flags

  !> Published values over liquid water, the end of the blend, and the ends of the table.
  subroutine saturation()
    ! Smithsonian Meteorological Tables, computed by Goff and Gratch: 0, 10, 20 and 30 C.
    real(real64), parameter :: tables(4) = [610.78_real64, 1227.2_real64, 2337.3_real64, &
      4243.0_real64]
    real(real64) :: es
    integer :: i

    do i = 1, size(tables)
      es = saturation_vapour_pressure(263.15_real64 + 10*i)
      call check(abs(es/tables(i) - 1) < 1e-3_real64, 'not the published vapour pressure')
    end do
    ! Over ice at -20 C, by the same tables: 103.2 Pa.
    es = saturation_vapour_pressure(253.15_real64)
    call check(abs(es/103.2_real64 - 1) < 2e-3_real64, 'not that over ice where the blend ends')
    call check(.not. abs(saturation_vapour_pressure(1.0_real64) &
      - saturation_vapour_pressure(127.16_real64)) > 0, 'not the end of the table: cold')
    call check(.not. abs(saturation_vapour_pressure(999.0_real64) &
      - saturation_vapour_pressure(375.16_real64)) > 0, 'not the end of the table: hot')
  end subroutine saturation

  !> The quantile is undone by erfc, over all that single precision can hold.
  subroutine quantile()
    real(real64) :: p, worst, z
    integer :: i

    worst = 0
    do i = 1, 4000
      p = 10.0_real64**(-i*0.0094_real64)  ! to 1e-37
      z = normal_quantile(p)
      ! Relative error of z: that of p over the derivative of log(p) by log(z).
      worst = max(worst, abs(0.5_real64*erfc(-z*sqrt(0.5_real64)) - p)/(density(z)*abs(z)))
    end do
    call check(worst < 2e-7_real64, 'the quantile is not good to 2e-7')
    call check(.not. abs(normal_quantile(0.5_real64)) > 0, 'the median is not 0')
    do i = 1, 999
      p = i*1e-3_real64
      call check(abs(normal_quantile(p) + normal_quantile(1 - p)) < 1e-6_real64, &
        'the quantile is not symmetric')
    end do
  end subroutine quantile

  pure function density(z)
    real(real64), intent(in) :: z
    real(real64) :: density

    density = exp(-0.5_real64*z**2)/sqrt(2*acos(-1.0_real64))
  end function density

  !> Activate the point that a line of a file holds.
  subroutine activate(point)
    real(real64), intent(in) :: point(:)

    call arg2000(point(1), point(2), point(3), point(4:7), point(8:11), point(12:15), fn, fm, smax)
  end subroutine activate

  !> Read a file of make_e3sm_data.py, or leave the test out if it could not be made.
  subroutine read_points(name, width, n, points)
    character(len=*), intent(in) :: name
    integer, intent(in) :: n, width
    real(real64), allocatable, intent(out) :: points(:, :)

    logical :: exists

    inquire (file=data_file(name), exist=exists)
    if (.not. exists) then
      write (*, '(3a)') 'Left out: ', name, ' could not be made here.'
      stop SKIPPED
    end if
    allocate (points(width, n))
    call read_columns(name, points)
  end subroutine read_points

end program test_arg2000
