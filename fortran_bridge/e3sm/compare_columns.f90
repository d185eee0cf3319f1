!> Run column states through ARG2000 and an emulator, beside a parcel model's answer: how they
!! differ, and what each costs.
!!
!!     compare_columns NAMELIST COLUMNS
!!
!! NAMELIST has the group `aeroact_nl`. COLUMNS has one point a line, after lines that begin with
!! `#`: updraft (m s-1), temperature (K), air density (kg m-3), relative humidity over liquid (1),
!! and of the four modes number (m-3), volume (m3 m-3), hygroscopicity (1), and the activated
!! fraction in the parcel model. `compare_columns.py` writes both files and runs this program.
program compare_columns
  use, intrinsic :: iso_fortran_env, only: error_unit, int64, output_unit, r8 => real64
  use aeroact, only: AEROACT_ERRMSG_LEN, AEROACT_OK, aeroact_finalize, aeroact_init, aeroact_model
  use aeroact_arg2000, only: arg2000
  use aeroact_mam4, only: MAM4_NETWORK, activate_modal_nn, mam4_activation, mam4_report, &
    mam4_workspace
  use aeroact_namelist, only: aeroact_read_namelist, aeroact_settings
  implicit none

  integer, parameter :: nmodes = 4
  integer, parameter :: pcols = 16, pver = 72
    !! a chunk of EAM, all cloud
  integer, parameter :: nchunk = pcols*pver
  real(r8), parameter :: long_enough = 0.1_r8
    !! s of a measurement

  type(aeroact_settings) :: settings
  type(aeroact_model) :: model
  type(mam4_activation) :: scheme
  type(mam4_workspace) :: timing, workspace
  character(len=AEROACT_ERRMSG_LEN) :: errmsg
  character(len=4096) :: columns_path, namelist_path
  real(r8), allocatable :: points(:, :), by_arg2000(:, :), by_emulator(:, :), by_parcel(:, :)
  logical, allocatable :: within(:)
  integer :: n, stat

  ! One chunk, filled with the points over and over.
  real(r8), dimension(pcols, pver), save :: flux, rh, rhoair, tair, wbar
  real(r8), dimension(pcols, pver, nmodes), save :: fm, fn, fluxm, fluxn, hygro, na, volume
  logical, save :: mask(pcols, pver)

  if (command_argument_count() /= 2) then
    write (error_unit, '(a)') 'usage: compare_columns NAMELIST COLUMNS'
    stop 2
  end if
  call get_command_argument(1, namelist_path)
  call get_command_argument(2, columns_path)

  call aeroact_read_namelist(trim(namelist_path), settings, stat, errmsg)
  call stop_on_failure()
  if (.not. settings%on) call give_up("aeroact_on = .false. in '"//trim(namelist_path)//"'")
  call read_columns(trim(columns_path))

  if (settings%backend /= 'native') then  ! which needs no ONNX Runtime
    call aeroact_init(stat, errmsg)
    call stop_on_failure()
  end if
  call model%load(trim(settings%file), stat, errmsg, backend=trim(settings%backend))
  call stop_on_failure()
  call scheme%init(model, stat, errmsg, fallback=settings%fallback)
  call stop_on_failure()

  call activate_all()
  call print_differences()
  write (output_unit, '(a)') ''
  call mam4_report([workspace], output_unit)
  write (output_unit, '(a)') ''
  call fill_chunk()
  call print_costs()

  call model%free()
  call aeroact_finalize()

contains

  !> Every point by ARG2000 and by the emulator with its fallback.
  subroutine activate_all()
    real(r8), dimension(nmodes) :: fm1, fn1, fluxm1, fluxn1
    real(r8) :: flux1, smax
    integer(int64) :: before
    integer :: i

    allocate (by_arg2000(nmodes, n), by_emulator(nmodes, n), within(n))
    do i = 1, n
      associate (p => points(:, i))
        call arg2000(p(1), p(2), p(3), p(5:8), p(9:12), p(13:16), fn1, fm1, smax)
        by_arg2000(:, i) = fn1
        before = workspace%counts(MAM4_NETWORK)
        call activate_modal_nn(scheme, workspace, p(1), p(2), p(3), p(4), p(5:8), p(9:12), &
          p(13:16), fn1, fm1, fluxn1, fluxm1, flux1, stat, errmsg)
        call stop_on_failure()
        by_emulator(:, i) = fn1
        within(i) = workspace%counts(MAM4_NETWORK) > before
      end associate
    end do
  end subroutine activate_all

  subroutine print_differences()
    write (output_unit, '(3a)') "Activated fractions, emulator '", trim(settings%file), "'"
    write (output_unit, '(a, t44, *(a11))') '', 'accum', 'aitken', 'coarse', 'pcarbon', 'all'
    write (output_unit, '(i0, a)') n, ' points'
    call compare('ARG2000 - parcel', by_arg2000, by_parcel, spread(.true., 1, n))
    call compare('emulator with fallback - parcel', by_emulator, by_parcel, spread(.true., 1, n))
    call compare('emulator with fallback - ARG2000', by_emulator, by_arg2000, spread(.true., 1, n))
    if (all(within)) return
    write (output_unit, '(i0, a)') count(within), ' points that the emulator answered'
    call compare('ARG2000 - parcel', by_arg2000, by_parcel, within)
    call compare('emulator - parcel', by_emulator, by_parcel, within)
    call compare('emulator - ARG2000', by_emulator, by_arg2000, within)
  end subroutine print_differences

  !> Mean square, mean and largest difference of the points that count.
  subroutine compare(name, a, b, counted)
    character(len=*), intent(in) :: name
    real(r8), dimension(:, :), intent(in) :: a, b
    logical, intent(in) :: counted(:)

    real(r8), dimension(nmodes) :: bias, largest, mse
    integer :: m

    if (.not. any(counted)) return
    do m = 1, nmodes
      associate (d => pack(a(m, :) - b(m, :), counted))
        mse(m) = sum(d**2)/size(d)
        bias(m) = sum(d)/size(d)
        largest(m) = maxval(abs(d))
      end associate
    end do
    call print_row(name//', MSE', [mse, sum(mse)/nmodes])
    call print_row(name//', bias', [bias, sum(bias)/nmodes])
    call print_row(name//', max', [largest, maxval(largest)])
  end subroutine compare

  subroutine print_row(name, values)
    character(len=*), intent(in) :: name
    real(r8), intent(in) :: values(:)

    write (output_unit, '(2x, a, t44, *(es11.2))') name, values
  end subroutine print_row

  subroutine fill_chunk()
    integer :: c, i, k

    mask = .true.
    do k = 1, pver
      do i = 1, pcols
        c = modulo(pcols*(k - 1) + i - 1, n) + 1
        wbar(i, k) = points(1, c)
        tair(i, k) = points(2, c)
        rhoair(i, k) = points(3, c)
        rh(i, k) = points(4, c)
        na(i, k, :) = points(5:8, c)
        volume(i, k, :) = points(9:12, c)
        hygro(i, k, :) = points(13:16, c)
      end do
    end do
  end subroutine fill_chunk

  !> Processor time of the three ways, in turns, the least of several; fallback included.
  subroutine print_costs()
    character(len=*), parameter :: names(3) = [character(len=36) :: &
      'ARG2000', 'emulator, point by point', 'emulator, a chunk of 16 x 72 at once']
    real(r8) :: least(3)
    integer :: turn, way

    least = huge(least)
    do turn = 1, 5
      do way = 1, 3
        least(way) = min(least(way), cost(way))
      end do
    end do
    write (output_unit, '(a)') 'Processor time of a point, us, with what falls back to ARG2000'
    do way = 1, 3
      write (output_unit, '(2x, a, f8.3)') names(way), 1e6_r8*least(way)
    end do
  end subroutine print_costs

  !> Seconds a point.
  function cost(way) result(seconds)
    integer, intent(in) :: way
    real(r8) :: seconds

    real(r8) :: start, stop
    integer :: repeats

    repeats = 0
    call cpu_time(start)
    do
      call activate_chunk(way)
      repeats = repeats + 1
      call cpu_time(stop)
      if (stop - start > long_enough) exit
    end do
    seconds = (stop - start)/(real(repeats, r8)*nchunk)
  end function cost

  subroutine activate_chunk(way)
    integer, intent(in) :: way

    real(r8) :: smax
    integer :: i, k

    if (way == 3) then
      call activate_modal_nn(scheme, timing, mask, wbar, tair, rhoair, rh, na, volume, hygro, fn, &
        fm, fluxn, fluxm, flux, stat, errmsg)
      return
    end if
    do k = 1, pver
      do i = 1, pcols
        if (way == 1) then
          call arg2000(wbar(i, k), tair(i, k), rhoair(i, k), na(i, k, :), volume(i, k, :), &
            hygro(i, k, :), fn(i, k, :), fm(i, k, :), smax)
        else
          call activate_modal_nn(scheme, timing, wbar(i, k), tair(i, k), rhoair(i, k), rh(i, k), &
            na(i, k, :), volume(i, k, :), hygro(i, k, :), fn(i, k, :), fm(i, k, :), &
            fluxn(i, k, :), fluxm(i, k, :), flux(i, k), stat, errmsg)
        end if
      end do
    end do
  end subroutine activate_chunk

  !> Read the points and the parcel model's fractions.
  subroutine read_columns(path)
    character(len=*), intent(in) :: path

    character(len=4096) :: line
    integer :: failed, pass, unit

    open (newunit=unit, file=path, status='old', action='read', iostat=failed)
    if (failed /= 0) call give_up("cannot open '"//path//"'")
    do pass = 1, 2  ! count the points, then read them
      n = 0
      do
        read (unit, '(a)', iostat=failed) line
        if (failed /= 0) exit
        if (line == '' .or. line(1:1) == '#') cycle
        n = n + 1
        if (pass == 1) cycle
        read (line, *, iostat=failed) points(:, n), by_parcel(:, n)
        if (failed /= 0) call give_up("not 20 numbers in '"//path//"': "//trim(line))
      end do
      if (n == 0) call give_up("no points in '"//path//"'")
      if (pass == 1) allocate (points(16, n), by_parcel(nmodes, n))
      rewind (unit)
    end do
    close (unit)
  end subroutine read_columns

  !> The library never stops a program; this program may.
  subroutine stop_on_failure()
    if (stat /= AEROACT_OK) call give_up(trim(errmsg))
  end subroutine stop_on_failure

  subroutine give_up(reason)
    character(len=*), intent(in) :: reason

    write (error_unit, '(2a)') 'compare_columns: ', reason
    stop 1
  end subroutine give_up

end program compare_columns
