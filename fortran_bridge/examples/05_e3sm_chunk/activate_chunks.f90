!> Activate aerosol in E3SM's chunks of columns, as its `dropmixnuc` would.
!!
!!     activate_chunks MODEL [BACKEND]
!!
!! MODEL is a bundle's `emulator.onnx`, BACKEND is `native` (unless given), `ort` or `auto`. The
!! columns are made up. A line for each cloudy level goes to standard output: chunk, column, level;
!! updraft, temperature, density, relative humidity, and number, volume and hygroscopicity of the
!! four modes, all in MKS; activated fractions of number and mass. What happened to the points goes
!! to standard error: the upper levels are outside what an emulator knows, and ARG2000 takes them.
program activate_chunks
  use, intrinsic :: iso_fortran_env, only: error_unit, output_unit, r8 => real64
  use aeroact, only: AEROACT_ERRMSG_LEN, AEROACT_OK, aeroact_finalize, aeroact_init, aeroact_model
  use aeroact_mam4, only: activate_modal_nn, mam4_activation, mam4_report, mam4_workspace
  implicit none

  integer, parameter :: pcols = 16, pver = 72, nmodes = 4, nchunks = 3

  type(aeroact_model) :: model
  type(mam4_activation) :: scheme
  type(mam4_workspace) :: workspaces(nchunks)
    !! one for each chunk, so that it does not matter which thread has which
  character(len=AEROACT_ERRMSG_LEN) :: errmsg(nchunks)
  character(len=4096) :: path, backend
  integer :: c, i, k, stat(nchunks)

  logical :: cloudy(pcols, pver, nchunks)
  real(r8), dimension(pcols, pver, nchunks) :: wbar, tair, rhoair, rh, flux_fullact
  real(r8), dimension(pcols, pver, nmodes, nchunks) :: na, volume, hygro, fn, fm, fluxn, fluxm

  if (command_argument_count() < 1 .or. command_argument_count() > 2) then
    write (error_unit, '(a)') 'usage: activate_chunks MODEL [BACKEND]'
    stop 2
  end if
  call get_command_argument(1, path)
  backend = 'native'
  if (command_argument_count() == 2) call get_command_argument(2, backend)

  ! Once, when the model starts.
  if (backend /= 'native') then  ! which needs no ONNX Runtime
    call aeroact_init(stat(1), errmsg(1))
    call stop_on_failure(1)
  end if
  call model%load(trim(path), stat(1), errmsg(1), backend=trim(backend))
  call stop_on_failure(1)
  call scheme%init(model, stat(1), errmsg(1))
  call stop_on_failure(1)

  ! Every step: a chunk to a thread, where there are threads. In a chunk one batch of all points.
  !$omp parallel do
  do c = 1, nchunks
    call make_up_columns(c)
    call activate_modal_nn(scheme, workspaces(c), cloudy(:, :, c), wbar(:, :, c), tair(:, :, c), &
      rhoair(:, :, c), rh(:, :, c), na(:, :, :, c), volume(:, :, :, c), hygro(:, :, :, c), &
      fn(:, :, :, c), fm(:, :, :, c), fluxn(:, :, :, c), fluxm(:, :, :, c), &
      flux_fullact(:, :, c), stat(c), errmsg(c))
  end do
  do c = 1, nchunks
    call stop_on_failure(c)
  end do

  do c = 1, nchunks
    do k = 1, pver
      do i = 1, pcols
        if (.not. cloudy(i, k, c)) cycle
        write (output_unit, '(3(i0, 1x), *(es24.16e3))') c, i, k, wbar(i, k, c), tair(i, k, c), &
          rhoair(i, k, c), rh(i, k, c), na(i, k, :, c), volume(i, k, :, c), hygro(i, k, :, c), &
          fn(i, k, :, c), fm(i, k, :, c)
      end do
    end do
  end do

  ! Once, when the model ends.
  call mam4_report(workspaces, error_unit)
  do c = 1, nchunks
    call workspaces(c)%free()
  end do
  call model%free()
  call aeroact_finalize()

contains

  !> Columns from 200 hPa to the ground, no two levels alike, with patches of cloud.
  recursive subroutine make_up_columns(c)
    integer, intent(in) :: c

    real(r8), parameter :: pi = acos(-1.0_r8), rair = 287.0423114_r8
    real(r8), dimension(nmodes), parameter :: sigma = [1.8_r8, 1.6_r8, 1.8_r8, 1.6_r8], &
      usual_number = [3e8_r8, 6e8_r8, 4e5_r8, 6e7_r8], &
      usual_radius = [7e-8_r8, 1.5e-8_r8, 7e-7_r8, 4e-8_r8], &
      usual_kappa = [0.4_r8, 0.4_r8, 0.7_r8, 1e-7_r8]
    real(r8) :: pressure, radius(nmodes), u(14)
    integer :: i, k

    do k = 1, pver
      do i = 1, pcols
        u = uneven(i + pcols*(k - 1 + pver*(c - 1)))
        cloudy(i, k, c) = u(1) < 0.4_r8
        pressure = 2e4_r8 + 8e4_r8*k/pver
        tair(i, k, c) = 285 - 60*(1 - pressure/1e5_r8) + 5*u(2)
        rhoair(i, k, c) = pressure/(rair*tair(i, k, c))
        rh(i, k, c) = 0.85_r8 + 0.15_r8*u(3)
        wbar(i, k, c) = 0.1_r8*10**u(4)
        na(i, k, :, c) = usual_number*10**(u(5:8) - 0.5_r8)
        radius = usual_radius*(0.8_r8 + 0.4_r8*u(9:12))
        volume(i, k, :, c) = na(i, k, :, c)*4*pi/3*radius**3*exp(4.5_r8*log(sigma)**2)
        hygro(i, k, :, c) = usual_kappa*(0.8_r8 + 0.4_r8*u(13))
        if (u(14) < 0.1_r8) na(i, k, 3, c) = 0  ! no coarse mode here
      end do
    end do
  end subroutine make_up_columns

  !> Numbers in [0, 1) that do not repeat from one point to another.
  pure recursive function uneven(number) result(u)
    integer, intent(in) :: number
    real(r8) :: u(14)

    u = modulo(number*sqrt([real(r8) :: 2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43]), &
      1.0_r8)
  end function uneven

  !> The library never stops a program; this program may.
  subroutine stop_on_failure(c)
    integer, intent(in) :: c

    if (stat(c) == AEROACT_OK) return
    write (error_unit, '(2a)') 'activate_chunks: ', trim(errmsg(c))
    stop 1
  end subroutine stop_on_failure

end program activate_chunks
