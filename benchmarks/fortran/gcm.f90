!> A chunk of a GCM, as a contender of benchmarks/fortran.py: by ARG2000 or by an emulator.
module contender
  use, intrinsic :: iso_c_binding, only: c_char, c_f_pointer, c_float, c_int, c_loc, c_null_ptr, &
    c_ptr
  use, intrinsic :: iso_fortran_env, only: error_unit, real64
  use aeroact, only: AEROACT_ERRMSG_LEN, AEROACT_OK, aeroact_init, aeroact_model
  use aeroact_arg2000, only: DRY_AIR_GAS_CONSTANT, MAM4_LN_SIGMA, arg2000
  use aeroact_mam4, only: activate_modal_nn, mam4_activation, mam4_workspace
  use network_file, only: text
  implicit none
  private

  public :: contender_prepare, contender_repeat

  integer, parameter :: PCOLS = 16
  integer, parameter :: NMODES = 4

  !> A chunk in E3SM's units, of which every second point is cloudy.
  type :: prepared
    type(aeroact_model) :: model
    type(mam4_activation) :: scheme
    type(mam4_workspace) :: workspace
    character(len=:), allocatable :: how
    logical, allocatable :: mask(:, :)
    real(real64), allocatable, dimension(:, :) :: wbar, tair, rhoair, rh, flux_fullact
    real(real64), allocatable, dimension(:, :, :) :: na, volume, hygro, fn, fm, fluxn, fluxm
    real(c_float), pointer, contiguous :: answer(:, :)
  end type prepared

contains

  !> Take n states, of PCOLS columns; `how` is `arg2000`, `points` or `chunk`.
  function contender_prepare(model, n, x, fn, library, backend, how) result(pointer) bind(c)
    character(kind=c_char), intent(in) :: model(*), library(*), backend(*), how(*)
    integer(c_int), value :: n
    type(c_ptr), value :: x, fn
    type(c_ptr) :: pointer

    real(real64), parameter :: pi = acos(-1.0_real64)
    character(len=AEROACT_ERRMSG_LEN) :: errmsg
    type(prepared), pointer :: p
    real(c_float), pointer, contiguous :: states(:, :)
    real(real64) :: state(16)
    integer :: i, k, m, pver, stat

    pointer = c_null_ptr
    allocate (p)
    p%how = text(how)
    call c_f_pointer(x, states, [16, int(n)])
    call c_f_pointer(fn, p%answer, [NMODES, int(n)])
    pver = int(n)/PCOLS
    allocate (p%mask(PCOLS, pver))
    allocate (p%wbar(PCOLS, pver), p%tair(PCOLS, pver), p%rhoair(PCOLS, pver), p%rh(PCOLS, pver), &
      p%flux_fullact(PCOLS, pver))
    allocate (p%na(PCOLS, pver, NMODES), p%volume(PCOLS, pver, NMODES), &
      p%hygro(PCOLS, pver, NMODES), p%fn(PCOLS, pver, NMODES), p%fm(PCOLS, pver, NMODES), &
      p%fluxn(PCOLS, pver, NMODES), p%fluxm(PCOLS, pver, NMODES))
    do k = 1, pver
      do i = 1, PCOLS
        state = states(:, PCOLS*(k - 1) + i)
        p%mask(i, k) = modulo(i + k, 2) == 0
        p%tair(i, k) = state(1)
        p%rhoair(i, k) = 100*state(2)/(DRY_AIR_GAS_CONSTANT*state(1))
        p%rh(i, k) = state(3)
        p%wbar(i, k) = state(4)/100
        do m = 1, NMODES
          p%na(i, k, m) = 1e6_real64*state(4 + m)
          p%volume(i, k, m) = p%na(i, k, m)*4*pi/3*(1e-6_real64*state(8 + m))**3 &
            *exp(4.5_real64*MAM4_LN_SIGMA(m)**2)
          p%hygro(i, k, m) = state(12 + m)
        end do
      end do
    end do

    stat = AEROACT_OK
    if (p%how /= 'arg2000') then
      call aeroact_init(stat, errmsg, text(library))
      if (stat == AEROACT_OK) call p%model%load(text(model), stat, errmsg, backend=text(backend))
      ! Without ARG2000 to fall back on, all points are the emulator's.
      if (stat == AEROACT_OK) call p%scheme%init(p%model, stat, errmsg, fallback=.false.)
    end if
    if (stat == AEROACT_OK) then
      pointer = c_loc(p)
    else
      write (error_unit, '(a)') trim(errmsg)
    end if
  end function contender_prepare

  function contender_repeat(pointer, calls) result(status) bind(c)
    type(c_ptr), value :: pointer
    integer(c_int), value :: calls
    integer(c_int) :: status

    type(prepared), pointer :: p
    integer :: call_number, k, stat

    call c_f_pointer(pointer, p)
    stat = AEROACT_OK
    do call_number = 1, calls
      select case (p%how)
      case ('chunk')
        call activate_modal_nn(p%scheme, p%workspace, p%mask, p%wbar, p%tair, p%rhoair, p%rh, &
          p%na, p%volume, p%hygro, p%fn, p%fm, p%fluxn, p%fluxm, p%flux_fullact, stat)
      case default
        call point_by_point(p, stat)
      end select
      if (stat /= AEROACT_OK) exit
    end do
    do k = 1, size(p%mask, 2)
      p%answer(:, PCOLS*(k - 1) + 1:PCOLS*k) = real(transpose(p%fn(:, k, :)), c_float)
    end do
    status = int(stat, c_int)
  end function contender_repeat

  !> As a loop over the points of a chunk does it.
  subroutine point_by_point(p, stat)
    type(prepared), intent(inout) :: p
    integer, intent(out) :: stat

    real(real64), dimension(NMODES) :: fm, fn, fluxm, fluxn
    real(real64) :: smax
    integer :: i, k

    stat = AEROACT_OK
    do k = 1, size(p%mask, 2)
      do i = 1, PCOLS
        if (.not. p%mask(i, k)) then
          p%fn(i, k, :) = 0
          cycle
        end if
        if (p%how == 'arg2000') then
          call arg2000(p%wbar(i, k), p%tair(i, k), p%rhoair(i, k), p%na(i, k, :), &
            p%volume(i, k, :), p%hygro(i, k, :), fn, fm, smax)
        else
          call activate_modal_nn(p%scheme, p%workspace, p%wbar(i, k), p%tair(i, k), &
            p%rhoair(i, k), p%rh(i, k), p%na(i, k, :), p%volume(i, k, :), p%hygro(i, k, :), &
            fn, fm, fluxn, fluxm, p%flux_fullact(i, k), stat)
          if (stat /= AEROACT_OK) return
          p%fluxn(i, k, :) = fluxn
          p%fluxm(i, k, :) = fluxm
        end if
        p%fn(i, k, :) = fn
        p%fm(i, k, :) = fm
      end do
    end do
  end subroutine point_by_point

end module contender
