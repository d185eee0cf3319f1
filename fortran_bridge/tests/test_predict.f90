!> Predictions: Python's numbers for every kind, rank and layout, and what is refused.
program test_predict
  use, intrinsic :: ieee_arithmetic, only: ieee_is_nan, ieee_quiet_nan, ieee_value
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
  integer :: column_stat(nstates), i, n, stat

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

  case ('not_contiguous')
    call model%predict(x4(:, 1:21:3), y4(:, 1:7), stat, errmsg)
    call expect(AEROACT_NOT_CONTIGUOUS, stat, errmsg, 'real32, x', 'mlp.onnx')
    call model%predict(x8(:, 1:7), y8(:, 7:1:-1), stat, errmsg)
    call expect(AEROACT_NOT_CONTIGUOUS, stat, errmsg, 'real64, y', 'mlp.onnx')
    call model%predict(x4(1, 1:16), y4(:, 1), stat, errmsg)
    call expect(AEROACT_NOT_CONTIGUOUS, stat, errmsg, 'column across columns')
    call check(all(nint(y8) == -1) .and. all(nint(y4) == -1), 'y is untouched')

  case ('zero_columns')
    call model%predict(x4(:, :0), y4(:, :0), stat, errmsg)
    call expect(AEROACT_NO_COLUMNS, stat, errmsg, 'real32', 'ncol')
    call model%predict(x8(:, :0), y8(:, :0), stat, errmsg)
    call expect(AEROACT_NO_COLUMNS, stat, errmsg, 'real64', 'ncol')

  case ('not_loaded')
    call model%predict(x4, y4, stat, errmsg)
    call expect(AEROACT_NOT_LOADED, stat, errmsg, 'real32', 'load')
    call model%predict(x8, y8, stat, errmsg)
    call expect(AEROACT_NOT_LOADED, stat, errmsg, 'real64', 'load')
    call model%predict(x4(:, 1), y4(:, 1), stat, errmsg)
    call expect(AEROACT_NOT_LOADED, stat, errmsg, 'column', 'load')
    call check(all(nint(y8) == -1) .and. all(nint(y4) == -1), 'y is untouched')

  case ('wrong_shape')
    call model%predict(x4(:15, :7), y4(:, :7), stat, errmsg)
    call expect(AEROACT_SHAPE_MISMATCH, stat, errmsg, 'x is too narrow', 'x(15, 7)')
    call model%predict(x4(:, :7), y4(:3, :7), stat, errmsg)
    call expect(AEROACT_SHAPE_MISMATCH, stat, errmsg, 'y is too narrow', 'y(3, 7)')
    call model%predict(x8(:, :7), y8(:, :6), stat, errmsg)
    call expect(AEROACT_SHAPE_MISMATCH, stat, errmsg, 'other columns', 'y(4, 6)')
    call model%predict(transpose(x8(:, :7)), y8(:, :7), stat, errmsg)
    call expect(AEROACT_SHAPE_MISMATCH, stat, errmsg, 'transposed', 'x(7, 16)')
    call model%predict(x8(:15, 1), y8(:, 1), stat, errmsg)
    call expect(AEROACT_SHAPE_MISMATCH, stat, errmsg, 'column', 'x(15, 1)')
    call check(all(nint(y8) == -1) .and. all(nint(y4) == -1), 'y is untouched')

  case ('not_finite')
    x4(1, 5) = ieee_value(1.0_real32, ieee_quiet_nan)
    x8(1, 5) = ieee_value(1.0_real64, ieee_quiet_nan)
    call model%predict(x4(:, :7), y4(:, :7), stat, errmsg, column_stat(:7))
    call expect(AEROACT_STATE_NOT_FINITE, stat, errmsg, 'real32', 'Column 5')
    call only_column_5_fails('real32')
    call check(all(ieee_is_nan(y4(:, 5))), 'real32: the column is NaN')
    y4(:, 5) = real(expected(:, 5), real32)
    call check(all(abs(y4(:, :7) - expected(:, :7)) <= tolerance), 'real32: the others are filled')
    call model%predict(x8(:, :7), y8(:, :7), stat, errmsg, column_stat(:7))
    call expect(AEROACT_STATE_NOT_FINITE, stat, errmsg, 'real64', 'Column 5')
    call only_column_5_fails('real64')
    call check(all(ieee_is_nan(y8(:, 5))), 'real64: the column is NaN')
    y8(:, 5) = expected(:, 5)
    call check(all(abs(y8(:, :7) - expected(:, :7)) <= tolerance), 'real64: the others are filled')

  case ('infinite')
    ! Finite in double precision, infinite in single.
    x8(1, 5) = 1e300_real64
    call model%predict(x8(:, :7), y8(:, :7), stat, errmsg, column_stat(:7))
    call expect(AEROACT_STATE_NOT_FINITE, stat, errmsg, 'real64')
    call only_column_5_fails('infinite')

  case ('short_column_stat')
    call model%predict(x4(:, :7), y4(:, :7), stat, errmsg, column_stat(:6))
    call expect(AEROACT_SHAPE_MISMATCH, stat, errmsg, 'column_stat', 'column_stat')
  end select

  call still_works()
  call finish()

contains

  subroutine only_column_5_fails(what)
    character(len=*), intent(in) :: what

    call check(all(column_stat(:7) == [0, 0, 0, 0, AEROACT_STATE_NOT_FINITE, 0, 0]), &
      what//': column_stat')
  end subroutine only_column_5_fails

end program test_predict
