!> Predict on several MPI ranks, of which only one reads the file.
!!
!!     mpirun -n 4 predict_ranks MODEL [BACKEND]
!!
!! MODEL is a bundle's `emulator.onnx`, BACKEND is `ort` (unless given), `native` or `auto`. Rank 0
!! reads the file and broadcasts its bytes, from which all load: thousands of ranks do not meet at
!! one file. The states are made up; each rank predicts its part of them, and rank 0 gathers the
!! answers. A line for each state goes to standard output: its 16 numbers and the four fractions.
program predict_ranks
  use, intrinsic :: iso_fortran_env, only: error_unit, int8, output_unit, r8 => real64
  use mpi
  use aeroact, only: AEROACT_ERRMSG_LEN, AEROACT_NMODES, AEROACT_NSTATE, AEROACT_OK, &
    aeroact_finalize, aeroact_init, aeroact_model, aeroact_read_file
  implicit none

  integer, parameter :: ncol = 1003
    !! columns of all ranks together

  type(aeroact_model) :: model
  integer(int8), allocatable :: bytes(:)
  real(r8), allocatable :: x(:, :), y(:, :), fn(:, :)
  integer, allocatable :: bounds(:), counts(:)
  character(len=AEROACT_ERRMSG_LEN) :: errmsg
  character(len=4096) :: path, backend
  integer :: column, ierr, n, nranks, rank, stat

  call MPI_Init(ierr)
  call MPI_Comm_rank(MPI_COMM_WORLD, rank, ierr)
  call MPI_Comm_size(MPI_COMM_WORLD, nranks, ierr)

  if (command_argument_count() < 1 .or. command_argument_count() > 2) then
    if (rank == 0) write (error_unit, '(a)') 'usage: mpirun -n N predict_ranks MODEL [BACKEND]'
    call MPI_Finalize(ierr)
    stop 2
  end if
  call get_command_argument(1, path)
  backend = 'ort'
  if (command_argument_count() == 2) call get_command_argument(2, backend)

  ! One rank reads, all load.
  stat = AEROACT_OK
  if (rank == 0) call aeroact_read_file(trim(path), bytes, stat, errmsg)
  call stop_on_failure()
  if (rank == 0) n = size(bytes)
  call MPI_Bcast(n, 1, MPI_INTEGER, 0, MPI_COMM_WORLD, ierr)
  if (rank /= 0) allocate (bytes(n))
  call MPI_Bcast(bytes, n, MPI_BYTE, 0, MPI_COMM_WORLD, ierr)

  if (backend /= 'native') then  ! which needs no ONNX Runtime
    call aeroact_init(stat, errmsg)
    call stop_on_failure()
  end if
  call model%load(bytes, stat, errmsg, backend=trim(backend))
  call stop_on_failure()
  deallocate (bytes)

  ! Rank r has the columns from bounds(r) + 1 to bounds(r + 1).
  allocate (bounds(0:nranks), counts(0:nranks - 1))
  bounds = [(ncol*n/nranks, n=0, nranks)]
  counts = bounds(1:) - bounds(:nranks - 1)
  n = counts(rank)
  allocate (x(AEROACT_NSTATE, n), y(AEROACT_NMODES, n))
  do column = 1, n
    x(:, column) = made_up_state(bounds(rank) + column)
  end do
  if (n > 0) call model%predict(x, y, stat, errmsg)
  call stop_on_failure()

  ! Columns of an array lie one after the other, and so do the parts of the ranks.
  allocate (fn(AEROACT_NMODES, merge(ncol, 0, rank == 0)))
  call MPI_Gatherv(y, AEROACT_NMODES*n, MPI_REAL8, fn, AEROACT_NMODES*counts, &
    AEROACT_NMODES*bounds(:nranks - 1), MPI_REAL8, 0, MPI_COMM_WORLD, ierr)
  do column = 1, size(fn, 2)
    write (output_unit, '(*(es24.16e3))') made_up_state(column), fn(:, column)
  end do

  call model%free()
  call aeroact_finalize()
  call MPI_Finalize(ierr)

contains

  !> The library never stops a program; this program may. All ranks must agree to it, or those
  !! that go on would wait for the others for ever.
  subroutine stop_on_failure()
    integer :: worst

    call MPI_Allreduce(stat, worst, 1, MPI_INTEGER, MPI_MAX, MPI_COMM_WORLD, ierr)
    if (worst == AEROACT_OK) return
    if (stat /= AEROACT_OK) then
      write (error_unit, '(a, i0, 2a)') 'predict_ranks: rank ', rank, ': ', trim(errmsg)
    end if
    call MPI_Finalize(ierr)
    stop 1
  end subroutine stop_on_failure

  !> One of the states spread over what an emulator knows, no two alike.
  pure function made_up_state(number) result(state)
    integer, intent(in) :: number
    real(r8) :: state(AEROACT_NSTATE)

    real(r8), parameter :: low(AEROACT_NSTATE) = [240._r8, 500._r8, 0.8_r8, 1._r8, &
      10._r8, 10._r8, 0.01_r8, 1._r8, 0.03_r8, 0.01_r8, 0.3_r8, 0.02_r8, &
      0.1_r8, 0.1_r8, 0.1_r8, 0.01_r8]
    real(r8), parameter :: high(AEROACT_NSTATE) = [300._r8, 1013._r8, 1._r8, 300._r8, &
      3000._r8, 3000._r8, 3._r8, 300._r8, 0.15_r8, 0.04_r8, 1.5_r8, 0.1_r8, &
      0.8_r8, 0.8_r8, 1._r8, 0.2_r8]
    real(r8), parameter :: step(AEROACT_NSTATE) = sqrt([real(r8) :: 2, 3, 5, 7, &
      11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53])

    state = low*(high/low)**modulo(number*step, 1.0_r8)
  end function made_up_state

end program predict_ranks
