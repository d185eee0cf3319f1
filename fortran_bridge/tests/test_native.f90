!> The network in Fortran alone: Python's numbers for any shape and batch, and what is refused.
program test_native
  use, intrinsic :: ieee_arithmetic, only: ieee_is_nan, ieee_quiet_nan, ieee_signaling_nan, &
    ieee_value
  use, intrinsic :: ieee_exceptions, only: ieee_flag_type, ieee_get_flag, ieee_invalid, &
    ieee_divide_by_zero, ieee_overflow, ieee_set_halting_mode, ieee_usual
  use, intrinsic :: iso_fortran_env, only: int32, real32, real64
  use aeroact
  use aeroact_native
  use testing
  implicit none

  character(len=*), parameter :: names(5) = [character(len=12) :: &
    'native_24_12', 'native_7_33', 'native_1', 'native_none', 'native_relu2']
  integer, parameter :: batches(12) = [0, 1, 2, 8, 9, 16, 31, 32, 33, 65, 70, nstates]
  real(real32), parameter :: far = huge(1.0_real32)

  character(len=AEROACT_ERRMSG_LEN) :: errmsg
  type(native_network) :: network
  type(native_workspace) :: workspace
  real(real64) :: wide(AEROACT_NSTATE, nstates), expected(AEROACT_NMODES, nstates)
  real(real32) :: x(AEROACT_NSTATE, nstates), fn(AEROACT_NMODES, nstates)
  real(real32) :: alone(AEROACT_NMODES, nstates)
  integer :: i, n, stat

  ! What read_network reads.
  integer, allocatable :: widths(:)
  real(real32), allocatable :: weights(:)
  real(real32), dimension(AEROACT_NSTATE) :: low, high, floor, mean, std
  logical :: is_log(AEROACT_NSTATE), squared

  call read_columns('states.txt', wide)
  x = real(wide, real32)

  select case (argument(1))
  case ('parity')
    ! One workspace for all: it grows, and what is left in it from before does not matter.
    do i = 1, size(names)
      call open_network(trim(names(i)))
      do n = 1, size(batches)
        call predicts(batches(n))
      end do
    end do

  case ('same_bits')
    ! A column's answer does not depend on which others are beside it.
    do i = 1, size(names)
      call open_network(trim(names(i)))
      call native_predict(network, workspace, x, fn, stat)
      do n = 1, nstates
        call native_predict(network, workspace, x(:, n:n), alone(:, n:n), stat)
      end do
      call check(same_bits(fn, alone), trim(names(i))//': all at once and one by one')
      do n = 1, nstates, 50
        call native_predict(network, workspace, x(:, n:n + 49), alone(:, n:n + 49), stat)
      end do
      call check(same_bits(fn, alone), trim(names(i))//': by fifties')
    end do

  case ('traps')
    ! Whatever is finite raises nothing: zeros, tiny and huge numbers of either sign.
    x(5:8, 1:70) = 0
    x(13:16, 2:71) = 0
    x(:, 3) = 0
    x(:, 4) = far
    x(:, 5) = -far
    x(:, 6) = tiny(far)
    x(:, 7) = -tiny(far)
    x(:, 8) = tiny(far)/2
    call raises_nothing('native_24_12')
    call raises_nothing('native_relu2')

  case ('saturated')
    ! Weights so large that the sigmoid is at its ends: exactly 0 or 1, or as near as can be.
    call read_network('native_none')
    weights = 1e6_real32*weights
    call native_create(network, widths, weights, low, high, is_log, floor, mean, std, stat)
    call ieee_set_halting_mode(ieee_usual, .true.)
    call native_predict(network, workspace, x, fn, stat)
    call check(all(fn >= 0 .and. fn <= 1), 'fractions')
    call check(any(fn < 1e-30_real32) .and. any(fn > 0.9999999_real32), 'both ends are reached')
    call no_flags()

  case ('not_a_number')
    call open_network('native_7_33')
    call native_predict(network, workspace, x, fn, stat)
    call ieee_set_halting_mode(ieee_usual, .true.)
    x(16, 3) = ieee_value(far, ieee_quiet_nan)
    x(1, 40) = -ieee_value(far, ieee_quiet_nan)
    x(8, nstates) = transfer(int(z'7F800001', int32), far)  ! a signalling one
    call native_predict(network, workspace, x, alone, stat, errmsg)
    call expect(AEROACT_OK, stat, errmsg, 'NaN')
    call native_predict(network, workspace, x(:, 3:3), alone(:, 1:1), stat)
    call no_flags()
    call ieee_set_halting_mode(ieee_usual, .false.)
    do n = 1, nstates
      if (any(n == [1, 3, 40, nstates])) then
        call check(all(ieee_is_nan(alone(:, n))), 'NaN stays NaN')
      else
        call check(same_bits(alone(:, n:n), fn(:, n:n)), 'its neighbours are as before')
      end if
    end do

  case ('functions')
    call check_functions()

  case ('threads')
    call share_network()

  case ('not_created')
    fn = -1
    call native_predict(network, workspace, x, fn, stat, errmsg)
    call expect(AEROACT_NOT_LOADED, stat, errmsg, 'never created', 'native_create')
    call open_network('native_1')
    call native_create(network, [16, 1, 5], weights, low, high, is_log, floor, mean, std, stat)
    call native_predict(network, workspace, x, fn, stat, errmsg)
    call expect(AEROACT_NOT_LOADED, stat, errmsg, 'creation failed', 'native_create')
    call check(all(nint(fn) == -1), 'fn is untouched')

  case ('wrong_shape')
    call open_network('native_24_12')
    fn = -1
    call native_predict(network, workspace, x(:15, :7), fn(:, :7), stat, errmsg)
    call expect(AEROACT_SHAPE_MISMATCH, stat, errmsg, 'x is too narrow', 'x(16, ncol)')
    call native_predict(network, workspace, x(:, :7), fn(:3, :7), stat, errmsg)
    call expect(AEROACT_SHAPE_MISMATCH, stat, errmsg, 'fn is too narrow', 'fn(4, ncol)')
    call native_predict(network, workspace, x(:, :7), fn(:, :6), stat, errmsg)
    call expect(AEROACT_SHAPE_MISMATCH, stat, errmsg, 'other columns')
    call check(all(nint(fn) == -1), 'fn is untouched')

  case ('wrong_network')
    call read_network('native_24_12')
    call refuses([16], 'no layer')
    call refuses([17, 24, 12, 4], 'widths')
    call refuses([16, 24, 12, 5], 'widths')
    call refuses([16, 0, 4], 'widths')
    call refuses([16, 12, 24, 4], 'too few or too many weights')
    weights(100) = ieee_value(far, ieee_quiet_nan)
    call refuses(widths, 'not finite')
    call read_network('native_24_12')
    std(3) = 0
    call refuses(widths, 'not positive')
    call read_network('native_24_12')
    floor(4) = 0
    call refuses(widths, 'not positive')
    call read_network('native_24_12')
    low(1) = high(1) + 1
    call refuses(widths, 'above')
    call read_network('native_24_12')
    mean(1) = ieee_value(far, ieee_signaling_nan)
    call refuses(widths, 'not finite')
    call read_network('native_24_12')
    weights(size(weights)) = far  ! an output's bias
    call refuses(widths, 'could overflow')
    call read_network('native_24_12')
    weights(:16*24) = 1e20_real32*weights(:16*24)  ! both within range, but not together
    weights(17*24 + 1:) = 1e20_real32*weights(17*24 + 1:)
    call refuses(widths, 'could overflow')
    call read_network('native_relu2')
    weights(:16*13) = 1e20_real32*weights(:16*13)  ! within range, but not its square
    weights(17*13 + 1:) = 1e-30_real32*weights(17*13 + 1:)
    call refuses(widths, 'could overflow')
    squared = .false.
    call native_create(network, widths, weights, low, high, is_log, floor, mean, std, stat, errmsg)
    call expect(AEROACT_OK, stat, errmsg, 'no square')
  end select

  call finish()

contains

  !> Read a network of make_models.py.
  subroutine read_network(name)
    character(len=*), intent(in) :: name
    integer :: flags(AEROACT_NSTATE), n_widths, unit

    if (allocated(widths)) deallocate (widths, weights)
    open (newunit=unit, file=data_file(name//'.txt'), status='old', action='read')
    read (unit, *) n_widths
    allocate (widths(n_widths))
    read (unit, *) widths
    allocate (weights(sum((widths(:n_widths - 1) + 1)*widths(2:))))
    read (unit, *) weights
    read (unit, *) low
    read (unit, *) high
    read (unit, *) flags
    read (unit, *) floor
    read (unit, *) mean
    read (unit, *) std
    close (unit)
    is_log = flags == 1
    squared = name == 'native_relu2'
  end subroutine read_network

  !> Create a network and read what Python's float64 makes of it.
  subroutine open_network(name)
    character(len=*), intent(in) :: name

    call read_network(name)
    call native_create(network, widths, weights, low, high, is_log, floor, mean, std, stat, &
      errmsg, squared)
    call expect(AEROACT_OK, stat, errmsg, name)
    call read_columns(name//'.expected.txt', expected)
  end subroutine open_network

  !> The first ncol states give the expected numbers, and nothing is written beyond.
  subroutine predicts(ncol)
    integer, intent(in) :: ncol

    fn = -1
    call native_predict(network, workspace, x(:, :ncol), fn(:, :ncol), stat, errmsg)
    call expect(AEROACT_OK, stat, errmsg, trim(names(i)))
    call check(all(abs(fn(:, :ncol) - expected(:, :ncol)) <= tolerance), &
      trim(names(i))//': numbers differ')
    call check(all(nint(fn(:, ncol + 1:)) == -1), trim(names(i))//': wrote past the last column')
  end subroutine predicts

  !> Neither all together nor one by one do the states raise anything in a network.
  subroutine raises_nothing(name)
    character(len=*), intent(in) :: name

    call open_network(name)
    call ieee_set_halting_mode(ieee_usual, .true.)
    do n = 1, size(batches)
      fn = -1
      call native_predict(network, workspace, x(:, :batches(n)), fn(:, :batches(n)), stat)
      call check(all(fn(:, :batches(n)) >= 0 .and. fn(:, :batches(n)) <= 1), name//': fractions')
    end do
    do n = 1, 8
      call native_predict(network, workspace, x(:, n:n), alone(:, n:n), stat)
    end do
    call check(same_bits(fn(:, :8), alone(:, :8)), name//': one by one')
    call no_flags()
    call ieee_set_halting_mode(ieee_usual, .false.)
  end subroutine raises_nothing

  !> Two threads with a workspace each share the network and give the bits of one thread.
  subroutine share_network()
    integer, parameter :: nrounds = 100
    type(native_workspace) :: own
    real(real32) :: again(AEROACT_NMODES, nstates)
    integer :: ndifferent, nthreads, own_stat, round

    call open_network('native_7_33')
    call native_predict(network, workspace, x, fn, stat)
    nthreads = 0
    ndifferent = 0
    !$omp parallel num_threads(2) private(own, own_stat, again, round) &
    !$omp reduction(+: nthreads, ndifferent)
    nthreads = 1
    !$omp barrier
    do round = 1, nrounds
      again = -1
      call native_predict(network, own, x, again, own_stat)
      if (own_stat /= AEROACT_OK .or. .not. same_bits(again, fn)) ndifferent = ndifferent + 1
    end do
    !$omp end parallel
    call check(nthreads == 2, 'there are two threads')
    call check(ndifferent == 0, 'the same bits')
  end subroutine share_network

  !> Logarithm and sigmoid over nearly all numbers, seen through a network that only hands on.
  subroutine check_functions()
    real(real64) :: truth(AEROACT_NMODES, nstates), z(AEROACT_NMODES, nstates)

    call read_network('native_none')
    low = -1e37_real32
    high = 1e37_real32
    high(5:6) = far
    floor = tiny(far)
    mean = 0
    std = 1
    is_log = .false.
    is_log(5:6) = .true.
    weights = 0
    weights([1 + 4*4, 2 + 5*4, 3 + 0*4, 4 + 1*4]) = [8.0_real32, 0.01_real32, 1.0_real32, &
      0.01_real32]  ! fn(1:4) are the sigmoids of x(5), x(6), x(1), x(2)
    call native_create(network, widths, weights, low, high, is_log, floor, mean, std, stat, errmsg)
    call expect(AEROACT_OK, stat, errmsg, 'network that hands on')
    x = 0
    do n = 1, nstates
      x(1, n) = 0.17_real32*real(n - nstates/2, real32)
      x(2, n) = 10*x(1, n)
      x(5, n) = 1.02_real32**(n - nstates/2)
      x(6, n) = 1.19_real32**(n - nstates/2)
    end do
    z(1, :) = 8*log(real(x(5, :), real64))
    z(2, :) = 0.01_real32*log(real(x(6, :), real64))
    z(3, :) = x(1, :)
    z(4, :) = 0.01_real32*real(x(2, :), real64)
    truth = 1/(1 + exp(-z))
    call native_predict(network, workspace, x, fn, stat)
    ! Relative errors: two units in the last place, and one of the logarithm that went in.
    call check(all(abs(fn - truth) <= (2.5e-7_real64 + 1.2e-7_real64*abs(z))*truth), 'functions')
  end subroutine check_functions

  !> Such a network cannot be created.
  subroutine refuses(these, mentions)
    integer, intent(in) :: these(:)
    character(len=*), intent(in) :: mentions

    call native_create(network, these, weights, low, high, is_log, floor, mean, std, stat, &
      errmsg, squared)
    call expect(AEROACT_INVALID_ARGUMENT, stat, errmsg, mentions, mentions)
  end subroutine refuses

  !> No flag is raised that a host model might trap.
  subroutine no_flags()
    type(ieee_flag_type), parameter :: flags(3) = &
      [ieee_invalid, ieee_divide_by_zero, ieee_overflow]
    logical :: raised(3)

    call ieee_get_flag(flags, raised)
    call check(.not. any(raised), 'no flag is raised')
  end subroutine no_flags

  pure function same_bits(a, b)
    real(real32), intent(in) :: a(:, :), b(:, :)
    logical :: same_bits

    same_bits = all(transfer(a, [0_int32]) == transfer(b, [0_int32]))
  end function same_bits

end program test_native
