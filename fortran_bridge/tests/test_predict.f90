!> Predictions: Python's numbers for every kind, rank and number of columns.
program test_predict
  use, intrinsic :: iso_fortran_env, only: real32, real64
  use aeroact
  use testing
  implicit none

  integer, parameter :: sizes(3) = [1, 7, nstates]
  character(len=AEROACT_ERRMSG_LEN) :: errmsg
  type(aeroact_model) :: model
  real(real64) :: x8(AEROACT_NSTATE, nstates), y8(AEROACT_NMODES, nstates)
  real(real32) :: x4(AEROACT_NSTATE, nstates), y4(AEROACT_NMODES, nstates)
  real(real64) :: expected(AEROACT_NMODES, nstates)
  integer :: i, n, stat

  call open_runtime()
  if (argument(1) /= 'not_loaded') call model%load(data_file('mlp.onnx'), stat, errmsg)
  y8 = -1
  y4 = -1
  call read_columns('states.txt', x8)
  x4 = real(x8, real32)
  call read_columns('mlp.expected.txt', expected)

  select case (argument(1))
  case ('parity_r4')
    do i = 1, size(sizes)
      n = sizes(i)
      y4 = -1
      call model%predict(x4(:, :n), y4(:, :n), stat, errmsg)
      call expect(AEROACT_OK, stat, errmsg, 'real32')
      call check(all(abs(y4(:, :n) - expected(:, :n)) <= tolerance), 'real32')
      call check(all(nint(y4(:, n + 1:)) == -1), 'real32: wrote past the last column')
    end do

  case ('parity_r8')
    do i = 1, size(sizes)
      n = sizes(i)
      y8 = -1
      call model%predict(x8(:, :n), y8(:, :n), stat, errmsg)
      call expect(AEROACT_OK, stat, errmsg, 'real64')
      call check(all(abs(y8(:, :n) - expected(:, :n)) <= tolerance), 'real64')
      call check(all(nint(y8(:, n + 1:)) == -1), 'real64: wrote past the last column')
    end do

  case ('column')
    do n = 1, nstates, 97
      call model%predict(x4(:, n), y4(:, n), stat, errmsg)
      call expect(AEROACT_OK, stat, errmsg, 'real32')
      call check(all(abs(y4(:, n) - expected(:, n)) <= tolerance), 'real32')
      call model%predict(x8(:, n), y8(:, n), stat)
      call check(stat == AEROACT_OK, 'real64, without a sentence')
      call check(all(abs(y8(:, n) - expected(:, n)) <= tolerance), 'real64')
    end do

  case ('not_loaded')
    call model%predict(x4, y4, stat, errmsg)
    call expect(AEROACT_NOT_LOADED, stat, errmsg, 'real32', 'load')
    call model%predict(x8, y8, stat, errmsg)
    call expect(AEROACT_NOT_LOADED, stat, errmsg, 'real64', 'load')
    call model%predict(x4(:, 1), y4(:, 1), stat, errmsg)
    call expect(AEROACT_NOT_LOADED, stat, errmsg, 'column', 'load')
    call check(all(nint(y8) == -1) .and. all(nint(y4) == -1), 'y is untouched')
  end select

  call still_works()
  call finish()
end program test_predict
