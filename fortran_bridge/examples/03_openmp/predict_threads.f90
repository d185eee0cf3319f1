!> Predict with one model that is shared by threads, each with a workspace of its own.
!!
!!     predict_threads MODEL [BACKEND]
!!
!! MODEL is a bundle's `emulator.onnx`, BACKEND is `ort` (unless given), `native` or `auto`. The
!! states are made up. They are predicted by one thread, then by as many as OpenMP gives
!! (`OMP_NUM_THREADS`); standard error says whether the answers have the same bits. A line for
!! each state goes to standard output: its 16 numbers and the four activated fractions.
program predict_threads
  use, intrinsic :: iso_fortran_env, only: error_unit, int64, output_unit, r8 => real64
  use omp_lib, only: omp_get_max_threads
  use aeroact, only: AEROACT_ERRMSG_LEN, AEROACT_NMODES, AEROACT_NSTATE, AEROACT_OK, &
    aeroact_finalize, aeroact_init, aeroact_model, aeroact_workspace
  implicit none

  integer, parameter :: nblocks = 21, ncol = 48
    !! the host's blocks of columns, each predicted by one call

  type(aeroact_model) :: model
  character(len=AEROACT_ERRMSG_LEN) :: errmsg
  character(len=4096) :: path, backend
  real(r8) :: states(AEROACT_NSTATE, ncol, nblocks)
  real(r8), dimension(AEROACT_NMODES, ncol, nblocks) :: fn, fn_of_one_thread
  integer :: block, column, nthreads, stat

  if (command_argument_count() < 1 .or. command_argument_count() > 2) then
    write (error_unit, '(a)') 'usage: predict_threads MODEL [BACKEND]'
    stop 2
  end if
  call get_command_argument(1, path)
  backend = 'ort'
  if (command_argument_count() == 2) call get_command_argument(2, backend)
  call make_up_states()

  ! Opened and loaded once, by one thread; from then on the model is only read.
  if (backend /= 'native') then  ! which needs no ONNX Runtime
    call aeroact_init(stat, errmsg)
    call stop_on_failure(stat, errmsg)
  end if
  call model%load(trim(path), stat, errmsg, backend=trim(backend))
  call stop_on_failure(stat, errmsg)

  nthreads = omp_get_max_threads()
  call predict(1, fn_of_one_thread)
  call predict(nthreads, fn)
  if (any(transfer(fn, [0_int64]) /= transfer(fn_of_one_thread, [0_int64]))) then
    write (error_unit, '(a, i0, a)') 'predict_threads: ', nthreads, &
      ' threads gave other answers than one'
    stop 1
  end if
  write (error_unit, '(i0, a)') nthreads, ' threads gave bit for bit what one gave'

  do block = 1, nblocks
    do column = 1, ncol
      write (output_unit, '(*(es24.16e3))') states(:, column, block), fn(:, column, block)
    end do
  end do

  call model%free()
  call aeroact_finalize()

contains

  !> Predict all blocks with some threads.
  subroutine predict(threads, answers)
    integer, intent(in) :: threads
    real(r8), intent(out) :: answers(AEROACT_NMODES, ncol, nblocks)

    integer :: stats(nblocks)
    character(len=AEROACT_ERRMSG_LEN) :: errmsgs(nblocks)

    !$omp parallel num_threads(threads)
    call predict_blocks(answers, stats, errmsgs)
    !$omp end parallel

    do block = 1, nblocks
      call stop_on_failure(stats(block), errmsgs(block))
    end do
  end subroutine predict

  !> What one thread does. Its workspace and its arrays are local: no other thread sees them.
  !!
  !! `recursive`, because gfortran's -fcheck=all takes a second thread for a recursive call.
  recursive subroutine predict_blocks(answers, stats, errmsgs)
    real(r8), intent(inout) :: answers(AEROACT_NMODES, ncol, nblocks)
    integer, intent(inout) :: stats(nblocks)
    character(len=AEROACT_ERRMSG_LEN), intent(inout) :: errmsgs(nblocks)

    type(aeroact_workspace) :: workspace
    real(r8), target :: x(AEROACT_NSTATE, ncol), y(AEROACT_NMODES, ncol)
    character(len=AEROACT_ERRMSG_LEN) :: binding_errmsg
    integer :: b, binding

    call workspace%bind(model, x, y, binding, binding_errmsg)
    !$omp do schedule(dynamic)
    do b = 1, nblocks
      stats(b) = binding
      errmsgs(b) = binding_errmsg
      if (binding /= AEROACT_OK) cycle
      x = states(:, :, b)
      call model%run(workspace, stats(b), errmsgs(b))
      answers(:, :, b) = y
    end do
    !$omp end do
    call workspace%free()
  end subroutine predict_blocks

  !> The library never stops a program; this program may, outside of its parallel regions.
  subroutine stop_on_failure(stat, errmsg)
    integer, intent(in) :: stat
    character(len=*), intent(in) :: errmsg

    if (stat == AEROACT_OK) return
    write (error_unit, '(2a)') 'predict_threads: ', trim(errmsg)
    stop 1
  end subroutine stop_on_failure

  !> States spread over what an emulator knows, no two alike.
  subroutine make_up_states()
    real(r8), parameter :: low(AEROACT_NSTATE) = [240._r8, 500._r8, 0.8_r8, 1._r8, &
      10._r8, 10._r8, 0.01_r8, 1._r8, 0.03_r8, 0.01_r8, 0.3_r8, 0.02_r8, &
      0.1_r8, 0.1_r8, 0.1_r8, 0.01_r8]
    real(r8), parameter :: high(AEROACT_NSTATE) = [300._r8, 1013._r8, 1._r8, 300._r8, &
      3000._r8, 3000._r8, 3._r8, 300._r8, 0.15_r8, 0.04_r8, 1.5_r8, 0.1_r8, &
      0.8_r8, 0.8_r8, 1._r8, 0.2_r8]
    real(r8), parameter :: step(AEROACT_NSTATE) = sqrt([real(r8) :: 2, 3, 5, 7, &
      11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53])

    do block = 1, nblocks
      do column = 1, ncol
        states(:, column, block) = low*(high/low)**modulo(((block - 1)*ncol + column)*step, &
          1.0_r8)
      end do
    end do
  end subroutine make_up_states

end program predict_threads
