!> One model for many threads: bit for bit what one thread gives, with either backend.
program test_threads
  use, intrinsic :: ieee_arithmetic, only: ieee_quiet_nan, ieee_value
  use, intrinsic :: ieee_exceptions, only: ieee_get_halting_mode, ieee_set_halting_mode, &
    ieee_usual
  use, intrinsic :: iso_fortran_env, only: int32, int64, real32, real64
  use aeroact
  use omp_lib, only: omp_get_thread_num
  use testing
  implicit none

  character(len=*), parameter :: backends(2) = [character(len=6) :: 'ort', 'native']
  integer, parameter :: nthreads = 8, batch = 40, rounds = 500

  character(len=:), allocatable, save :: backend
  character(len=AEROACT_ERRMSG_LEN) :: errmsg
  type(aeroact_model) :: model, other
  real(real64) :: x8(AEROACT_NSTATE, nstates)
  real(real32) :: x4(AEROACT_NSTATE, nstates)
  real(real64), dimension(AEROACT_NMODES, nstates) :: serial8, other_serial8
  real(real32) :: serial4(AEROACT_NMODES, nstates)
  integer :: b, stat, wrong

  call open_runtime()

  do b = 1, size(backends)
    backend = trim(backends(b))
    call read_columns('states.txt', x8)
    x4 = real(x8, real32)
    call load(model, 'mlp.onnx')
    call load(other, 'other.onnx')
    call predict_serially()
    wrong = 0
    select case (argument(1))
    case ('workspaces')
      !$omp parallel num_threads(nthreads) reduction(+: wrong)
      call run_workspaces(wrong)
      !$omp end parallel
    case ('predictions')
      !$omp parallel num_threads(nthreads) reduction(+: wrong)
      call make_predictions(wrong)
      !$omp end parallel
    case ('two_models')
      !$omp parallel num_threads(nthreads) reduction(+: wrong)
      call use_two_models(wrong)
      !$omp end parallel
    case ('loading')
      !$omp parallel num_threads(nthreads) reduction(+: wrong)
      if (omp_get_thread_num() == 0) then
        call load_and_free(wrong)
      else
        call run_workspaces(wrong)
      end if
      !$omp end parallel
    case ('binds')
      !$omp parallel num_threads(nthreads) reduction(+: wrong)
      call bind_often(wrong)
      !$omp end parallel
    case ('bad_states')
      x8(3, ::7) = ieee_value(1.0_real64, ieee_quiet_nan)
      !$omp parallel num_threads(nthreads) reduction(+: wrong)
      call predict_bad_states(wrong)
      !$omp end parallel
    case ('traps')
      !$omp parallel num_threads(nthreads) reduction(+: wrong)
      call run_with_traps(wrong)
      !$omp end parallel
    end select
    call check(wrong == 0, backend//': threads gave other bits than one thread')
  end do

  call model%free()
  call other%free()
  call still_works()
  call finish()

contains

  subroutine load(one, name)
    type(aeroact_model), intent(inout) :: one
    character(len=*), intent(in) :: name

    call one%load(data_file(name), stat, errmsg, backend=backend)
    call expect(AEROACT_OK, stat, errmsg, backend//': load '//name)
  end subroutine load

  !> The answers of one thread, batch by batch.
  subroutine predict_serially()
    integer :: first

    do first = 1, nstates, batch
      associate (last => first + batch - 1)
        call model%predict(x4(:, first:last), serial4(:, first:last), stat, errmsg)
        call model%predict(x8(:, first:last), serial8(:, first:last), stat, errmsg)
        call other%predict(x8(:, first:last), other_serial8(:, first:last), stat, errmsg)
      end associate
    end do
    call expect(AEROACT_OK, stat, errmsg, backend//': serially')
    call check(any(abs(serial8 - other_serial8) > 0.1_real64), 'two models to tell apart')
  end subroutine predict_serially

  !> Each thread starts elsewhere, so that different columns are under way at once.
  recursive function batch_start(round) result(first)
    integer, intent(in) :: round
    integer :: first

    first = 1 + batch*modulo(round + 3*omp_get_thread_num(), nstates/batch)
  end function batch_start

  recursive subroutine run_workspaces(wrong)
    integer, intent(inout) :: wrong

    type(aeroact_workspace) :: workspace4, workspace8
    real(real32), target :: x(AEROACT_NSTATE, batch), y(AEROACT_NMODES, batch)
    real(real64), target :: wide_x(AEROACT_NSTATE, batch), wide_y(AEROACT_NMODES, batch)
    integer :: first, round, stat4, stat8

    call workspace4%bind(model, x, y, stat4)
    call workspace8%bind(model, wide_x, wide_y, stat8)
    if (stat4 /= AEROACT_OK .or. stat8 /= AEROACT_OK) wrong = wrong + 1
    do round = 1, rounds
      first = batch_start(round)
      x = x4(:, first:first + batch - 1)
      wide_x = x8(:, first:first + batch - 1)
      call model%run(workspace4, stat4)
      call model%run(workspace8, stat8)
      if (stat4 /= AEROACT_OK .or. stat8 /= AEROACT_OK) wrong = wrong + 1
      if (any(transfer(y, [0_int32]) /= transfer(serial4(:, first:first + batch - 1), &
        [0_int32]))) wrong = wrong + 1
      if (any(transfer(wide_y, [0_int64]) /= transfer(serial8(:, first:first + batch - 1), &
        [0_int64]))) wrong = wrong + 1
    end do
    call workspace4%free()
    call workspace8%free()
  end subroutine run_workspaces

  recursive subroutine make_predictions(wrong)
    integer, intent(inout) :: wrong

    real(real32) :: y(AEROACT_NMODES, batch)
    real(real64) :: wide_y(AEROACT_NMODES, batch)
    character(len=AEROACT_ERRMSG_LEN) :: sentence
    integer :: column_stat(batch), first, round, stat4, stat8

    do round = 1, rounds
      first = batch_start(round)
      call model%predict(x4(:, first:first + batch - 1), y, stat4, sentence, column_stat)
      call model%predict(x8(:, first:first + batch - 1), wide_y, stat8)
      if (stat4 /= AEROACT_OK .or. stat8 /= AEROACT_OK) wrong = wrong + 1
      if (any(column_stat /= AEROACT_OK)) wrong = wrong + 1
      if (any(transfer(y, [0_int32]) /= transfer(serial4(:, first:first + batch - 1), &
        [0_int32]))) wrong = wrong + 1
      if (any(transfer(wide_y, [0_int64]) /= transfer(serial8(:, first:first + batch - 1), &
        [0_int64]))) wrong = wrong + 1
    end do
  end subroutine make_predictions

  !> A workspace for each of two models, in turn.
  recursive subroutine use_two_models(wrong)
    integer, intent(inout) :: wrong

    type(aeroact_workspace) :: workspace, other_workspace
    real(real64), target, dimension(AEROACT_NSTATE, batch) :: x
    real(real64), target, dimension(AEROACT_NMODES, batch) :: y, other_y
    integer :: first, round, stat1, stat2

    call workspace%bind(model, x, y, stat1)
    call other_workspace%bind(other, x, other_y, stat2)
    do round = 1, rounds
      first = batch_start(round)
      x = x8(:, first:first + batch - 1)
      call model%run(workspace, stat1)
      call other%run(other_workspace, stat2)
      if (stat1 /= AEROACT_OK .or. stat2 /= AEROACT_OK) wrong = wrong + 1
      if (any(transfer(y, [0_int64]) /= transfer(serial8(:, first:first + batch - 1), &
        [0_int64]))) wrong = wrong + 1
      if (any(transfer(other_y, [0_int64]) /= &
        transfer(other_serial8(:, first:first + batch - 1), [0_int64]))) wrong = wrong + 1
    end do
    call workspace%free()
    call other_workspace%free()
  end subroutine use_two_models

  !> Models come and go while other threads predict with theirs.
  recursive subroutine load_and_free(wrong)
    integer, intent(inout) :: wrong

    type(aeroact_model) :: passing
    real(real64) :: y(AEROACT_NMODES)
    integer :: round, status

    do round = 1, 20
      call passing%load(data_file('other.onnx'), status, backend=backend)
      if (status /= AEROACT_OK) wrong = wrong + 1
      call passing%predict(x8(:, round), y, status)
      if (status /= AEROACT_OK) wrong = wrong + 1
      if (any(abs(y - other_serial8(:, round)) > tolerance)) wrong = wrong + 1
      call passing%free()
    end do
  end subroutine load_and_free

  !> Each call has a workspace that is bound for it alone.
  recursive subroutine bind_often(wrong)
    integer, intent(inout) :: wrong

    type(aeroact_workspace) :: workspace
    real(real32), target :: x(AEROACT_NSTATE, batch), y(AEROACT_NMODES, batch)
    integer :: binding, first, round, running

    do round = 1, 5*rounds
      first = batch_start(round)
      x = x4(:, first:first + batch - 1)
      call workspace%bind(model, x, y, binding)
      call model%run(workspace, running)
      if (binding /= AEROACT_OK .or. running /= AEROACT_OK) wrong = wrong + 1
      if (any(transfer(y, [0_int32]) /= transfer(serial4(:, first:first + batch - 1), &
        [0_int32]))) wrong = wrong + 1
      call workspace%free()
      call model%run(workspace, running)
      if (running /= AEROACT_NOT_BOUND) wrong = wrong + 1
    end do
  end subroutine bind_often

  !> Columns that are not to be used are told to each thread.
  recursive subroutine predict_bad_states(wrong)
    integer, intent(inout) :: wrong

    real(real64) :: y(AEROACT_NMODES, nstates)
    character(len=AEROACT_ERRMSG_LEN) :: sentence
    integer :: column_stat(nstates), round, status

    do round = 1, 20
      call model%predict(x8, y, status, sentence, column_stat)
      if (status /= AEROACT_STATE_NOT_FINITE .or. sentence == '') wrong = wrong + 1
      if (any(column_stat(::7) /= AEROACT_STATE_NOT_FINITE)) wrong = wrong + 1
      if (count(column_stat /= AEROACT_OK) /= size(column_stat(::7))) wrong = wrong + 1
    end do
  end subroutine predict_bad_states

  !> Each thread traps exceptions, and still does so afterwards.
  recursive subroutine run_with_traps(wrong)
    integer, intent(inout) :: wrong

    logical :: halting(size(ieee_usual))

    call ieee_set_halting_mode(ieee_usual, .true.)
    call run_workspaces(wrong)
    call make_predictions(wrong)
    call ieee_get_halting_mode(ieee_usual, halting)
    if (.not. all(halting)) wrong = wrong + 1
  end subroutine run_with_traps

end program test_threads
