!> A program for valgrind: it releases all that it took.
!!
!!     test_leaks CASE DATA [ROUNDS]
program test_leaks
  use, intrinsic :: iso_fortran_env, only: int8, real32, real64
  use aeroact
  use testing
  implicit none

  integer, parameter :: ncol = 50

  character(len=AEROACT_ERRMSG_LEN) :: errmsg
  character(len=20) :: text
  integer :: rounds, stat

  rounds = 10
  call get_command_argument(3, text)
  if (text /= '') read (text, *) rounds

  select case (argument(1))
  case ('ort', 'native')
    call one_life(argument(1))
  case ('refused')
    call refused_models()
  end select
  call finish()

contains

  !> From loading to freeing, with many calls between.
  subroutine one_life(backend)
    character(len=*), intent(in) :: backend

    type(aeroact_model) :: model
    type(aeroact_workspace) :: workspace4, workspace8
    real(real64), allocatable, target :: x8(:, :), y8(:, :)
    real(real32), allocatable, target :: x4(:, :), y4(:, :)
    real(real64), allocatable :: expected(:, :)
    integer :: column_stat(ncol), round

    allocate (x8(AEROACT_NSTATE, nstates), expected(AEROACT_NMODES, nstates))
    allocate (y4(AEROACT_NMODES, ncol), y8(AEROACT_NMODES, ncol))
    call read_columns('states.txt', x8)
    call read_columns('mlp.expected.txt', expected)
    x8 = x8(:, :ncol)
    x4 = real(x8, real32)

    if (backend == 'ort') call open_runtime()
    call model%load(data_file('mlp.onnx'), stat, errmsg, backend=backend)
    call expect(AEROACT_OK, stat, errmsg, backend//': load')
    call model%predict(x8, y8, stat, errmsg)
    call model%predict(x4(:, 1), y4(:, 1), stat, errmsg)
    call workspace4%bind(model, x4, y4, stat, errmsg)
    call workspace8%bind(model, x8, y8, stat, errmsg)
    do round = 1, rounds
      call model%run(workspace4, stat, errmsg, column_stat)
      call model%run(workspace8, stat, errmsg, column_stat, ncol=1 + modulo(round, ncol))
    end do
    call expect(AEROACT_OK, stat, errmsg, backend//': run')
    call check(all(abs(y4 - expected(:, :ncol)) <= 5e-6_real64), backend//': run')
    call check(all(abs(y8 - expected(:, :ncol)) <= 5e-6_real64), backend//': run')
    call workspace4%free()
    call workspace8%free()
    call model%free()
    call aeroact_finalize()
  end subroutine one_life

  !> Cut files and models of another schema, read without ONNX Runtime.
  subroutine refused_models()
    character(len=*), parameter :: names(5) = [character(len=20) :: 'not_onnx', &
      'wrong_schema_version', 'other_order', 'garbled_columns', 'softplus']
    type(aeroact_model) :: model
    integer(int8), allocatable :: bytes(:), flipped(:)
    integer :: i

    do i = 1, size(names)
      call model%load(data_file(trim(names(i))//'.onnx'), stat, errmsg, backend='native')
      call check(stat /= AEROACT_OK, trim(names(i))//' is refused')
    end do
    call aeroact_read_file(data_file('mlp.onnx'), bytes, stat, errmsg)
    do i = 1, size(bytes), 23
      call model%load(bytes(:i - 1), stat, errmsg, backend='native')
      flipped = bytes
      flipped(i) = not(flipped(i))
      call model%load(flipped, stat, errmsg, backend='native')
    end do
    call model%load(bytes, stat, errmsg, backend='native')
    call expect(AEROACT_OK, stat, errmsg, 'the whole file')
    call model%free()
  end subroutine refused_models

end program test_leaks
