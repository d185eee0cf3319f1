!> Models loaded and calls made a great many times: memory stays as it is.
program test_growth
  use, intrinsic :: iso_fortran_env, only: int64, real32, real64
  use aeroact
  use testing
  use testing_memory
  implicit none

  character(len=*), parameter :: backends(2) = [character(len=6) :: 'ort', 'native']
  integer, parameter :: ncol = 3

  character(len=:), allocatable, save :: backend
  character(len=AEROACT_ERRMSG_LEN) :: errmsg
  type(aeroact_model) :: model
  type(aeroact_workspace) :: workspace
  real(real64), target :: x8(AEROACT_NSTATE, nstates), y8(AEROACT_NMODES, nstates)
  real(real32), target :: x4(AEROACT_NSTATE, nstates), y4(AEROACT_NMODES, nstates)
  integer :: b, i, rounds, stat

  call read_columns('states.txt', x8)
  x4 = real(x8, real32)
  call open_runtime()

  do b = 1, size(backends)
    backend = trim(backends(b))
    select case (argument(1))
    case ('loads')
      rounds = 1000
    case ('binds')
      rounds = 10000
    case default
      rounds = 100000
    end select
    call model%load(data_file('mlp.onnx'), stat, errmsg, backend=backend)
    call workspace%bind(model, x8(:, :ncol), y8(:, :ncol), stat, errmsg)
    call expect(AEROACT_OK, stat, errmsg, backend//': bind')
    call repeat_round()
    call model%free()
    call workspace%free()
  end do
  call still_works()
  call finish()

contains

  !> One round again and again: after the first tenth, which fills caches, nothing grows.
  subroutine repeat_round()
    integer(int64) :: heap
    integer :: resident

    heap = 0
    resident = 0
    do i = 1, rounds
      if (i == rounds/10) heap = heap_bytes()
      if (i == rounds/10) resident = resident_kib()
      call one_round()
      if (stat /= AEROACT_OK) exit
    end do
    call expect(AEROACT_OK, stat, errmsg, backend//': '//argument(1))
    ! The heap is counted in blocks, and some get larger than asked for. A byte lost in each call
    ! shows all the same; of a load, a session or a network.
    call check(heap_bytes() - heap < merge(500*rounds, rounds/2, argument(1) == 'loads'), &
      backend//': the heap grew')
    ! A session leaves holes behind; a thousand that are kept would be a hundred MiB.
    call check(resident_kib() - resident < merge(16384, 2048, argument(1) == 'loads'), &
      backend//': resident memory grew')
  end subroutine repeat_round

  subroutine one_round()
    integer :: column_stat(nstates), ignored

    select case (argument(1))
    case ('loads')
      call model%load(data_file('mlp.onnx'), stat, errmsg, backend=backend)
      if (stat == AEROACT_OK) call model%predict(x8(:, 1), y8(:, 1), stat, errmsg)
      call model%free()
      call model%free()
      call model%load(data_file('wrong_schema_version.onnx'), ignored, backend=backend)
    case ('binds')
      call workspace%bind(model, x4(:, :ncol), y4(:, :ncol), stat, errmsg)
      if (stat == AEROACT_OK) call model%run(workspace, stat, errmsg)
      call workspace%free()
      call workspace%bind(model, x8, y8, stat, errmsg)
      call workspace%bind(model, x8(:, :ncol), y8(:, :ncol), stat, errmsg)
      if (stat == AEROACT_OK) call model%run(workspace, stat, errmsg, ncol=1 + modulo(i, ncol))
      call model%run(workspace, ignored, ncol=nstates)  ! refused
    case ('runs')
      call model%run(workspace, stat, errmsg, column_stat, ncol=1 + modulo(i, ncol))
    case ('predictions_r4')
      associate (n => 1 + modulo(i, ncol))
        call model%predict(x4(:, :n), y4(:, :n), stat, errmsg)
      end associate
    case ('predictions_r8')
      associate (n => 1 + modulo(i, ncol))
        call model%predict(x8(:, :n), y8(:, :n), stat, errmsg)
      end associate
      call model%predict(x8(:15, 1), y8(:, 1), ignored)  ! refused
    end select
  end subroutine one_round

end program test_growth
