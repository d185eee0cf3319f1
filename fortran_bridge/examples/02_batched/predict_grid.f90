!> Predict the cloudy points of a grid in batches, through a workspace.
!!
!!     predict_grid MODEL [BACKEND]
!!
!! MODEL is a bundle's `emulator.onnx`, BACKEND is `ort` (unless given), `native` or `auto`. The
!! host model is made up: it has fields on a grid, in its own units, and clouds in some places.
!! A line for each cloudy point goes to standard output: its place, what the host knows about it
!! and the four activated fractions.
!!
!! A batch of points goes through the network at once. The workspace is bound once, and after that
!! no call looks anything up or allocates, but for ONNX Runtime's own.
program predict_grid
  use, intrinsic :: iso_fortran_env, only: error_unit, output_unit, r8 => real64
  use aeroact, only: AEROACT_ERRMSG_LEN, AEROACT_NMODES, AEROACT_NSTATE, AEROACT_OK, &
    aeroact_finalize, aeroact_init, aeroact_model, aeroact_workspace
  implicit none

  integer, parameter :: nlon = 13, nlat = 7, nlev = 5
  integer, parameter :: batch = 64
    !! points that go through the network together

  ! The host's fields, in its units.
  real(r8), dimension(nlon, nlat, nlev) :: temperature  ! K
  real(r8), dimension(nlon, nlat, nlev) :: pressure     ! Pa
  real(r8), dimension(nlon, nlat, nlev) :: humidity     ! 1, over liquid
  real(r8), dimension(nlon, nlat, nlev) :: updraft      ! m s-1
  logical, dimension(nlon, nlat, nlev) :: cloudy
  real(r8), dimension(AEROACT_NMODES, nlon, nlat, nlev) :: number  ! m-3
  real(r8), dimension(AEROACT_NMODES, nlon, nlat, nlev) :: radius  ! m
  real(r8), dimension(AEROACT_NMODES, nlon, nlat, nlev) :: kappa   ! 1
  real(r8), dimension(AEROACT_NMODES, nlon, nlat, nlev) :: fraction

  type(aeroact_model) :: model
  type(aeroact_workspace) :: workspace
  ! The workspace remembers where these two are: targets, and they stay in place.
  real(r8), target :: x(AEROACT_NSTATE, batch), y(AEROACT_NMODES, batch)
  character(len=AEROACT_ERRMSG_LEN) :: errmsg
  character(len=4096) :: path, backend
  integer :: place(3, batch), i, j, k, n, stat

  if (command_argument_count() < 1 .or. command_argument_count() > 2) then
    write (error_unit, '(a)') 'usage: predict_grid MODEL [BACKEND]'
    stop 2
  end if
  call get_command_argument(1, path)
  backend = 'ort'
  if (command_argument_count() == 2) call get_command_argument(2, backend)
  call make_up_fields()

  if (backend /= 'native') then  ! which needs no ONNX Runtime
    call aeroact_init(stat, errmsg)
    call stop_on_failure()
  end if
  call model%load(trim(path), stat, errmsg, backend=trim(backend))
  call stop_on_failure()
  call workspace%bind(model, x, y, stat, errmsg)
  call stop_on_failure()

  n = 0
  do k = 1, nlev
    do j = 1, nlat
      do i = 1, nlon
        if (.not. cloudy(i, j, k)) cycle
        n = n + 1
        place(:, n) = [i, j, k]
        x(1, n) = temperature(i, j, k)
        x(2, n) = pressure(i, j, k)/100      ! hPa
        x(3, n) = humidity(i, j, k)
        x(4, n) = updraft(i, j, k)*100       ! cm s-1
        x(5:8, n) = number(:, i, j, k)*1e-6_r8    ! cm-3
        x(9:12, n) = radius(:, i, j, k)*1e6_r8    ! um
        x(13:16, n) = kappa(:, i, j, k)
        if (n == batch) call predict_batch()
      end do
    end do
  end do
  if (n > 0) call predict_batch()

  do k = 1, nlev
    do j = 1, nlat
      do i = 1, nlon
        if (.not. cloudy(i, j, k)) cycle
        write (output_unit, '(3(i4), *(es24.16e3))') i, j, k, temperature(i, j, k), &
          pressure(i, j, k), humidity(i, j, k), updraft(i, j, k), number(:, i, j, k), &
          radius(:, i, j, k), kappa(:, i, j, k), fraction(:, i, j, k)
      end do
    end do
  end do

  call workspace%free()
  call model%free()
  call aeroact_finalize()

contains

  !> Predict the points gathered so far and put the answers where they belong.
  subroutine predict_batch()
    integer :: column, column_stat(batch)

    call model%run(workspace, stat, errmsg, column_stat, ncol=n)
    ! A host model that is not to stop would use another scheme for the columns whose
    ! column_stat is not AEROACT_OK. This one has no other scheme.
    call stop_on_failure()
    do column = 1, n
      fraction(:, place(1, column), place(2, column), place(3, column)) = y(:, column)
    end do
    n = 0
  end subroutine predict_batch

  !> The library never stops a program; this program may.
  subroutine stop_on_failure()
    if (stat == AEROACT_OK) return
    write (error_unit, '(2a)') 'predict_grid: ', trim(errmsg)
    stop 1
  end subroutine stop_on_failure

  !> An atmosphere in which no two points are alike.
  subroutine make_up_fields()
    real(r8), parameter :: modes(AEROACT_NMODES) = [1, 2, 3, 4]
    real(r8) :: east, north, up

    do k = 1, nlev
      do j = 1, nlat
        do i = 1, nlon
          east = real(i, r8)/nlon
          north = real(j, r8)/nlat
          up = real(k, r8)/nlev
          temperature(i, j, k) = 300 - 25*up - 20*north + 2*east
          pressure(i, j, k) = 1e5_r8*exp(-up) + 100*east
          humidity(i, j, k) = 0.9_r8 + 0.1_r8*sin(7*east + 3*north + 5*up)**2
          updraft(i, j, k) = 0.05_r8 + 2*east*(1 - north)*up
          cloudy(i, j, k) = humidity(i, j, k) > 0.94_r8
          number(:, i, j, k) = [4e8_r8, 9e8_r8, 1e6_r8, 2e8_r8]*exp(-2*up*modes*east)
          radius(:, i, j, k) = [8e-8_r8, 2e-8_r8, 9e-7_r8, 5e-8_r8]*(1 + north/modes)
          kappa(:, i, j, k) = [0.4_r8, 0.5_r8, 1.0_r8, 0.1_r8]*(1 - 0.8_r8*east*up)
        end do
      end do
    end do
  end subroutine make_up_fields

end program predict_grid
