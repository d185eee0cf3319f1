!> E3SM's activation by an emulator: conversions, bounds, fallback, counts; traps are on throughout.
program test_mam4
  use, intrinsic :: ieee_exceptions, only: ieee_set_halting_mode, ieee_usual
  use, intrinsic :: iso_fortran_env, only: int64, real32, real64
  use aeroact
  use aeroact_arg2000, only: arg2000
  use aeroact_mam4
  use testing, only: argument, check, data_file, expect, finish, open_runtime, read_columns
  implicit none

  integer, parameter :: npoints = 1000, pcols = 13, pver = 70
  real(real64), parameter :: same_fn = 1e-5_real64, same_fm = 2e-4_real64
    !! conversions to single precision; and the slope of fm where fn is small

  !> What activate_modal_nn gives for a point.
  type :: answer
    real(real64), dimension(4) :: fn, fm, fluxn, fluxm
    real(real64) :: flux
  end type answer

  type(aeroact_model) :: model
  type(mam4_activation) :: scheme
  type(mam4_workspace) :: workspace
  character(len=AEROACT_ERRMSG_LEN) :: errmsg
  real(real64) :: points(24, npoints)
    !! wbar, tair, rhoair, rh, na, volume, hygro; fn and fm of the emulator
  integer :: stat

  call ieee_set_halting_mode(ieee_usual, .true.)
  call read_columns('mam4.txt', points)
  call model%load(data_file('mam4.onnx'), stat, errmsg, backend='native')
  call expect(AEROACT_OK, stat, errmsg, 'load')
  call scheme%init(model, stat, errmsg)
  call expect(AEROACT_OK, stat, errmsg, 'init')

  select case (argument(1))
  case ('like_python')
    call like_python()
  case ('chunk')
    workspace%counts = 0
    call chunk()
  case ('empty_modes')
    call empty_modes()
  case ('mass_like_arg2000')
    call mass_like_arg2000()
  case ('bounds')
    call bounds()
  case ('no_fallback')
    call no_fallback()
  case ('broken_emulator')
    call broken_emulator()
  case ('failed_call')
    call failed_call()
  case ('bad_states')
    call bad_states()
  case ('no_updraft')
    call no_updraft()
  case ('nothing_masked')
    call nothing_masked()
  case ('wrong_shapes')
    call wrong_shapes()
  case ('two_schemes')
    call two_schemes()
  case ('threads')
    call threads()
  case ('report')
    call report()
  end select
  call finish()

contains

  !> Point by point what ONNX Runtime makes of the same states in Python.
  subroutine like_python()
    type(answer) :: given
    integer :: i

    do i = 1, npoints
      given = activated(scheme, points(:, i))
      call expect(AEROACT_OK, stat, errmsg, 'activate')
      associate (w => points(1, i), fn => points(17:20, i), fm => points(21:24, i))
        call check(all(abs(given%fn - fn) < same_fn), 'fn is not what Python gives')
        call check(all(abs(given%fm - fm) < same_fm), 'fm is not what Python gives')
        call check(all(abs(given%fluxn - given%fn*w) < 1e-14_real64), 'fluxn')
        call check(all(abs(given%fluxm - given%fm*w) < 1e-14_real64), 'fluxm')
        call check(same(given%flux, w), 'flux_fullact')
      end associate
    end do
    call check_count(MAM4_NETWORK, npoints, 'points for the emulator')
    call check(sum(workspace%counts) == npoints, 'nothing else is counted')
  end subroutine like_python

  !> In a chunk of good and bad points each gets the bits that it gets alone.
  subroutine chunk()
    real(real64), dimension(pcols, pver) :: flux
    real(real64), dimension(pcols, pver, 4) :: fm, fn, fluxm, fluxn
    real(real64), allocatable :: state(:, :, :)
    type(answer) :: alone
    logical :: mask(pcols, pver)
    integer :: i, k

    allocate (state(16, pcols, pver))
    do k = 1, pver
      do i = 1, pcols
        state(:, i, k) = points(:16, i + pcols*(k - 1))
        if (modulo(i + k, 7) == 0) state(2, i, k) = 230  ! colder than the training
        if (modulo(i + k, 11) == 0) state(1, i, k) = -1
        if (modulo(i + k, 13) == 0) state(5 + modulo(i, 4), i, k) = 0
        mask(i, k) = modulo(i*k, 3) /= 1
      end do
    end do
    ! What is not masked is not looked at.
    where (.not. mask) state(2, :, :) = not_a_number()
    fn = 7
    fm = 7
    fluxn = 7
    fluxm = 7
    flux = 7

    call activate_modal_nn(scheme, workspace, mask, state(1, :, :), state(2, :, :), &
      state(3, :, :), state(4, :, :), modes(state(5:8, :, :)), modes(state(9:12, :, :)), &
      modes(state(13:16, :, :)), fn, fm, fluxn, fluxm, flux, stat, errmsg)
    call expect(AEROACT_OK, stat, errmsg, 'chunk')
    call check(sum(workspace%counts(:MAM4_NO_STATE)) == count(mask), 'all masked points count')
    call check(workspace%counts(MAM4_NETWORK) > 100, 'points for the emulator')
    call check(workspace%counts(MAM4_ARG2000_OUTSIDE) > 50, 'points outside')
    call check(workspace%counts(MAM4_NO_UPDRAFT) > 50, 'points without an updraft')

    do k = 1, pver
      do i = 1, pcols
        if (mask(i, k)) then
          alone = activated(scheme, state(:, i, k))
          call check(all(same(fn(i, k, :), alone%fn)) .and. all(same(fm(i, k, :), alone%fm)) &
            .and. all(same(fluxn(i, k, :), alone%fluxn)) .and. same(flux(i, k), alone%flux) &
            .and. all(same(fluxm(i, k, :), alone%fluxm)), 'a point differs from itself alone')
        else
          call check(.not. (any(abs(fn(i, k, :)) > 0) .or. any(abs(fm(i, k, :)) > 0) &
            .or. any(abs(fluxn(i, k, :)) > 0) .or. any(abs(fluxm(i, k, :)) > 0) &
            .or. abs(flux(i, k)) > 0), 'a point that is not masked is not zero')
        end if
      end do
    end do
  end subroutine chunk

  !> An empty mode activates nothing, and enters the emulator as the emptiest of the training.
  subroutine empty_modes()
    real(real64), parameter :: nominal(4) = [0.055_real64, 0.013_real64, 1.0_real64, 0.025_real64]
    real(real32) :: high(16), low(16)
    real(real64) :: point(24), x(16), y(4)
    type(answer) :: given
    integer :: i, m

    call model%training_bounds(low, high, stat, errmsg)
    do i = 1, 100
      m = modulo(i, 4) + 1
      point = points(:, i)
      if (i > 50) point(4 + m) = 0
      if (i <= 50) point(8 + m) = 1e-39_real64
      if (modulo(i, 3) == 0) point(12 + m) = 0
      given = activated(scheme, point)
      call expect(AEROACT_OK, stat, errmsg, 'an empty mode')
      x = schema_state(points(:, i))
      x(4 + m) = low(4 + m)
      x(8 + m) = nominal(m)
      if (modulo(i, 3) == 0) x(12 + m) = low(12 + m)
      call model%predict(x, y, stat, errmsg)
      y(m) = 0
      call check(all(abs(given%fn - y) < same_fn), 'fn with an empty mode')
      call check(.not. (abs(given%fn(m)) > 0 .or. abs(given%fm(m)) > 0), 'an empty mode activates')
    end do
    call check_count(MAM4_NETWORK, 100, 'an empty mode is within the bounds')
  end subroutine empty_modes

  !> On a normal distribution fm lies as far from fn as ARG2000's fm from its fn, in every mode.
  subroutine mass_like_arg2000()
    real(real64) :: fm(4), fn(4), smax
    type(answer) :: given
    integer :: compared, i, m

    compared = 0
    do i = 1, npoints
      given = activated(scheme, points(:, i))
      call arg2000(points(1, i), points(2, i), points(3, i), points(5:8, i), points(9:12, i), &
        points(13:16, i), fn, fm, smax)
      do m = 1, 4
        if (fn(m) < 1e-6_real64 .or. max(fm(m), given%fm(m)) > 0.999999_real64) cycle
        compared = compared + 1
        call check(abs(distance(given%fn(m), given%fm(m)) - distance(fn(m), fm(m))) &
          < 1e-5_real64, 'fm is not that of ARG2000')
      end do
    end do
    call check(compared > npoints, 'too little to compare')
  end subroutine mass_like_arg2000

  !> By bisection: how far apart two fractions are on a normal distribution.
  function distance(number, mass)
    real(real64), intent(in) :: number, mass
    real(real64) :: distance

    distance = quantile(mass) - quantile(number)
  end function distance

  function quantile(p) result(z)
    real(real64), intent(in) :: p
    real(real64) :: z

    real(real64) :: above, below
    integer :: i

    below = -10
    above = 10
    do i = 1, 60
      z = (below + above)/2
      if (erfc(-z/sqrt(2.0_real64)) < 2*p) then
        below = z
      else
        above = z
      end if
    end do
  end function quantile

  !> On a bound is within, beyond is outside; each column is counted by itself.
  subroutine bounds()
    real(real32) :: bound(16, 2)
    real(real64) :: x(16), middle(16), point(24)
    type(answer) :: given
    integer(int64) :: before(MAM4_NCOUNTS)
    integer :: c, counter, side

    call model%training_bounds(bound(:, 1), bound(:, 2), stat, errmsg)
    middle = sqrt(real(product(bound, 2), real64))
    do c = 1, 16
      do side = 1, 2
        x = middle
        x(c) = bound(c, side)
        before = workspace%counts
        given = activated(scheme, e3sm_point(x))
        call expect(AEROACT_OK, stat, errmsg, 'on a bound')
        before(MAM4_NETWORK) = before(MAM4_NETWORK) + 1
        call check(all(workspace%counts == before), 'on a bound is within: '//AEROACT_COLUMNS(c))
        call check(in_domain(e3sm_point(x)), 'on a bound is in the domain')

        x(c) = bound(c, side)*merge(0.999_real64, 1.001_real64, side == 1)
        point = e3sm_point(x)
        given = activated(scheme, point)
        call expect(AEROACT_OK, stat, errmsg, 'outside')
        counter = merge(MAM4_BELOW, MAM4_ABOVE, side == 1) + c
        before(counter) = before(counter) + 1
        before(MAM4_ARG2000_OUTSIDE) = before(MAM4_ARG2000_OUTSIDE) + 1
        call check(all(workspace%counts == before), 'outside: '//AEROACT_COLUMNS(c))
        call check(.not. in_domain(point), 'outside is in the domain')
        call check_arg2000(point, given)
      end do
    end do

    x = middle
    x([1, 16]) = bound([1, 16], 2)*1.1_real64
    before = workspace%counts
    given = activated(scheme, e3sm_point(x))
    before([MAM4_ARG2000_OUTSIDE, MAM4_ABOVE + 1, MAM4_ABOVE + 16]) = &
      before([MAM4_ARG2000_OUTSIDE, MAM4_ABOVE + 1, MAM4_ABOVE + 16]) + 1
    call check(all(workspace%counts == before), 'outside in two columns')
  end subroutine bounds

  subroutine no_fallback()
    real(real64) :: point(24), y(4)
    type(answer) :: given

    call scheme%init(model, stat, errmsg, fallback=.false.)
    call expect(AEROACT_OK, stat, errmsg, 'init')
    point = points(:, 1)
    point(2) = 230
    given = activated(scheme, point)
    call expect(AEROACT_OK, stat, errmsg, 'outside')
    call model%predict(schema_state(point), y, stat, errmsg)
    call check(all(abs(given%fn - y) < same_fn), "the emulator's answer is kept")
    call check_count(MAM4_NETWORK_OUTSIDE, 1, 'outside, without fallback')
    call check_count(MAM4_BELOW + 1, 1, 'too cold')

    call model%free()
    given = activated(scheme, points(:, 1))
    call expect(AEROACT_NOT_LOADED, stat, errmsg, 'freed')
    call check(is_nan(given), 'no answer without a fallback')
    call check_count(MAM4_NO_ANSWER, 1, 'no answer')
  end subroutine no_fallback

  !> Where the emulator gives no fraction, ARG2000 does; without it the point gets NaN.
  subroutine broken_emulator()
    real(real64), allocatable :: x(:, :), y(:, :)
    type(answer) :: given
    integer :: column_stat(npoints), fallback, i, nbroken

    allocate (x(16, npoints), y(4, npoints))
    call open_runtime()
    call model%load(data_file('mam4_broken.onnx'), stat, errmsg)
    call expect(AEROACT_OK, stat, errmsg, 'load')
    do i = 1, npoints
      x(:, i) = schema_state(points(:, i))
    end do
    call model%predict(x, y, stat, errmsg, column_stat)
    nbroken = count(column_stat /= AEROACT_OK)
    call check(nbroken > 100 .and. nbroken < npoints, 'something to tell apart')

    do fallback = 1, 0, -1
      call scheme%init(model, stat, errmsg, fallback=fallback == 1)
      do i = 1, npoints
        given = activated(scheme, points(:, i))
        if (column_stat(i) == AEROACT_OK) then
          call expect(AEROACT_OK, stat, errmsg, 'a fraction')
          call check(all(abs(given%fn - y(:, i)) < 100*same_fn), 'a fraction differs')
        else if (fallback == 1) then
          call expect(AEROACT_OK, stat, errmsg, 'no fraction, but ARG2000')
          call check_arg2000(points(:, i), given)
        else
          call expect(AEROACT_NOT_FINITE, stat, errmsg, 'no fraction', 'fallback')
          call check(is_nan(given), 'no fraction: not NaN')
        end if
      end do
    end do
    call check_count(MAM4_ARG2000_NO_FRACTION, nbroken, 'points that fell back')
    call check_count(MAM4_NO_ANSWER, nbroken, 'points without an answer')
    call check_count(MAM4_NETWORK, 2*(npoints - nbroken), 'points for the emulator')
  end subroutine broken_emulator

  !> A scheme without an emulator, or whose emulator is gone: ARG2000 and a status.
  subroutine failed_call()
    type(mam4_activation) :: none
    type(answer) :: given

    given = activated(none, points(:, 1))
    call expect(AEROACT_NOT_LOADED, stat, errmsg, 'never made', 'init')
    call check_arg2000(points(:, 1), given)
    call model%free()
    given = activated(scheme, points(:, 2))
    call expect(AEROACT_NOT_LOADED, stat, errmsg, 'freed')
    call check_arg2000(points(:, 2), given)
    call check_count(MAM4_ARG2000_FAILED, 2, 'failed calls')

    call none%init(model, stat, errmsg)
    call expect(AEROACT_NOT_LOADED, stat, errmsg, 'init with a freed emulator')
    given = activated(none, points(:, 3))
    call expect(AEROACT_NOT_LOADED, stat, errmsg, 'made of a freed emulator')
    call check_arg2000(points(:, 3), given)
  end subroutine failed_call

  !> A state that is none gets NaN, the others their answers; and nothing traps.
  subroutine bad_states()
    real(real64), dimension(16, 2, 1) :: state
    real(real64), dimension(2, 1, 4) :: fm, fn, fluxm, fluxn
    real(real64) :: absurd(4), flux(2, 1)
    type(answer) :: good
    logical :: mask(2, 1)
    integer :: i, j

    good = activated(scheme, points(:, 1))
    absurd = [not_a_number(), infinity(), -infinity(), huge(absurd)]
    mask = .true.
    do i = 1, 16
      do j = 1, 4
        state(:, 2, 1) = points(:16, 1)
        state(:, 1, 1) = points(:16, 1)
        state(i, 1, 1) = absurd(j)
        if (i == 4 .and. j == 4) cycle  ! outside the bounds, no more
        call activate_modal_nn(scheme, workspace, mask, state(1, :, :), state(2, :, :), &
          state(3, :, :), state(4, :, :), modes(state(5:8, :, :)), modes(state(9:12, :, :)), &
          modes(state(13:16, :, :)), fn, fm, fluxn, fluxm, flux, stat, errmsg)
        call expect(AEROACT_STATE_NOT_FINITE, stat, errmsg, 'a state that is none', 'NaN')
        call check(is_nan(answer(fn(1, 1, :), fm(1, 1, :), fluxn(1, 1, :), fluxm(1, 1, :), &
          flux(1, 1))), 'a state that is none: not NaN')
        call check(all(same(fn(2, 1, :), good%fn)), 'the point beside it')
      end do
    end do
    call check_count(MAM4_NO_STATE, 63, 'states that are none')
    state(:, 1, 1) = points(:16, 1)
    state(1, 1, 1) = -huge(flux)
    call check(.not. in_domain(state(:, 1, 1)), 'an absurd downdraft is in the domain')
    state(1, 1, 1) = points(1, 1)
    state(2, 1, 1) = not_a_number()
    call check(.not. in_domain(state(:, 1, 1)), 'a state that is none is in the domain')
    state(2, 1, 1) = 0
    good = activated(scheme, state(:, 1, 1))
    call expect(AEROACT_STATE_NOT_FINITE, stat, errmsg, 'absolute zero')
    state(2:3, 1, 1) = [280.0_real64, 0.0_real64]
    good = activated(scheme, state(:, 1, 1))
    call expect(AEROACT_STATE_NOT_FINITE, stat, errmsg, 'no air')
    state(2:4, 1, 1) = [280.0_real64, 1.0_real64, huge(flux)]
    good = activated(scheme, state(:, 1, 1))
    call expect(AEROACT_OK, stat, errmsg, 'an absurd humidity')
    call check_arg2000(state(:, 1, 1), good)
  end subroutine bad_states

  subroutine no_updraft()
    real(real64) :: point(24)
    type(answer) :: given
    integer :: i

    point = points(:, 1)
    do i = 1, 2
      point(1) = 1 - i
      given = activated(scheme, point)
      call expect(AEROACT_OK, stat, errmsg, 'no updraft')
      call check(.not. any(abs([given%fn, given%fm, given%fluxn, given%fluxm, given%flux]) > 0), &
        'something activates without an updraft')
    end do
    call check_count(MAM4_NO_UPDRAFT, 2, 'points without an updraft')
  end subroutine no_updraft

  subroutine nothing_masked()
    real(real64), dimension(3, 2) :: flux, none
    real(real64), dimension(3, 2, 4) :: fm, fn, fluxm, fluxn, nothing
    logical :: mask(3, 2)

    mask = .false.
    none = not_a_number()
    nothing = not_a_number()
    fn = 7
    call activate_modal_nn(scheme, workspace, mask, none, none, none, none, nothing, nothing, &
      nothing, fn, fm, fluxn, fluxm, flux, stat, errmsg)
    call expect(AEROACT_OK, stat, errmsg, 'nothing masked')
    call check(.not. any(abs(fn) > 0), 'not zero')
    call check(all(workspace%counts == 0), 'something is counted')
    call activate_modal_nn(scheme, workspace, mask(:, :0), none(:, :0), none(:, :0), none(:, :0), &
      none(:, :0), nothing(:, :0, :), nothing(:, :0, :), nothing(:, :0, :), fn(:, :0, :), &
      fm(:, :0, :), fluxn(:, :0, :), fluxm(:, :0, :), flux(:, :0), stat, errmsg)
    call expect(AEROACT_OK, stat, errmsg, 'a chunk of no size')
  end subroutine nothing_masked

  subroutine wrong_shapes()
    real(real64), dimension(3, 2) :: flux, some
    real(real64), dimension(3, 2, 5) :: fm, fn, fluxm, fluxn, modes5
    logical :: mask(3, 2)

    mask = .true.
    some = 1
    modes5 = 1
    fn = 7
    call activate_modal_nn(scheme, workspace, mask, some, some, some, some, modes5, modes5, &
      modes5, fn, fm, fluxn, fluxm, flux, stat, errmsg)
    call expect(AEROACT_SHAPE_MISMATCH, stat, errmsg, 'five modes', 'mask(pcols, pver)')
    call check(all(fn > 6), 'the answers are untouched')
    call activate_modal_nn(scheme, workspace, mask, some(:2, :), some, some, some, &
      modes5(:, :, :4), modes5(:, :, :4), modes5(:, :, :4), fn(:, :, :4), fm(:, :, :4), &
      fluxn(:, :, :4), fluxm(:, :, :4), flux, stat, errmsg)
    call expect(AEROACT_SHAPE_MISMATCH, stat, errmsg, 'a short array')
  end subroutine wrong_shapes

  !> One workspace serves two schemes in turn, and smaller and larger chunks.
  subroutine two_schemes()
    type(aeroact_model) :: other_model
    type(mam4_activation) :: other
    type(answer) :: by_other, given
    integer :: i

    call other_model%load(data_file('mlp.onnx'), stat, errmsg, backend='native')
    call expect(AEROACT_OK, stat, errmsg, 'load')
    call other%init(other_model, stat, errmsg, fallback=.false.)
    do i = 1, 3
      given = activated(scheme, points(:, i))
      call check(all(abs(given%fn - points(17:20, i)) < same_fn), 'the scheme')
      by_other = activated(other, points(:, i))
      call expect(AEROACT_OK, stat, errmsg, 'the other scheme')
      call check(any(abs(by_other%fn - given%fn) > 1e-3_real64), 'the other scheme is the same')
    end do
    workspace%counts = 0
    call chunk()
    call workspace%free()
    call check(all(workspace%counts == 0), 'the counts of a freed workspace')
    given = activated(scheme, points(:, 1))
    call check(all(abs(given%fn - points(17:20, 1)) < same_fn), 'a freed workspace serves again')
  end subroutine two_schemes

  !> Threads share the scheme, with a workspace each; the answers have the bits of one thread's.
  subroutine threads()
    integer, parameter :: repeats = 20, nthreads = 4
    type(mam4_workspace) :: workspaces(nthreads)
    type(answer), allocatable :: alone(:), given(:, :)
    integer :: failures(nthreads), i, j, t, thread_stat
    logical :: differs

    allocate (alone(npoints), given(npoints, nthreads))
    do i = 1, npoints
      if (modulo(i, 5) == 0) points(2, i) = 230
      alone(i) = activated(scheme, points(:, i))
    end do
    failures = 0
    !$omp parallel do num_threads(4) private(i, j, thread_stat)
    do t = 1, nthreads
      do j = 1, repeats
        do i = 1, npoints
          call activate_modal_nn(scheme, workspaces(t), points(1, i), points(2, i), points(3, i), &
            points(4, i), points(5:8, i), points(9:12, i), points(13:16, i), given(i, t)%fn, &
            given(i, t)%fm, given(i, t)%fluxn, given(i, t)%fluxm, given(i, t)%flux, thread_stat)
          if (thread_stat /= AEROACT_OK) failures(t) = failures(t) + 1
        end do
      end do
    end do
    call check(all(failures == 0), 'a thread fails')
    do t = 1, nthreads
      differs = .false.
      do i = 1, npoints
        differs = differs .or. .not. (all(same(given(i, t)%fn, alone(i)%fn)) &
          .and. all(same(given(i, t)%fm, alone(i)%fm)))
      end do
      call check(.not. differs, 'a thread gives other bits')
      call check(all(workspaces(t)%counts == repeats*workspace%counts), 'a thread counts otherwise')
    end do
  end subroutine threads

  !> The table holds the sums, and the columns outside the bounds.
  subroutine report()
    type(mam4_workspace) :: workspaces(2)
    real(real64) :: point(24)
    integer :: unit

    workspaces(1)%counts(MAM4_NETWORK) = 2000
    workspaces(2)%counts(MAM4_NETWORK) = 7000
    point = points(:, 1)
    point(4) = 1.2_real64
    call check_outside(point)
    workspaces(2)%counts(MAM4_ARG2000_OUTSIDE) = workspace%counts(MAM4_ARG2000_OUTSIDE)
    workspaces(2)%counts(MAM4_ABOVE + 3) = workspace%counts(MAM4_ABOVE + 3)

    open (newunit=unit, status='scratch', form='formatted')
    call mam4_report(workspaces, unit, stat, errmsg)
    call expect(AEROACT_OK, stat, errmsg, 'report')
    call check(has_line(unit, 'points to be activated: 9001'), 'all points')
    call check(has_line(unit, 'emulator 9000 99.989 %'), 'points for the emulator')
    call check(has_line(unit, 'ARG2000, outside the training bounds 1 0.011 %'), 'fallen back')
    call check(has_line(unit, 'rh 0 1'), 'too humid')
    call check(.not. has_line(unit, 'tair'), 'columns that were never outside are left out')
    close (unit)

    open (newunit=unit, status='scratch', form='formatted')
    call mam4_report(workspaces(1)%counts + workspaces(2)%counts, unit, stat, errmsg)
    call expect(AEROACT_OK, stat, errmsg, 'report of counts')
    call check(has_line(unit, 'emulator 9000 99.989 %'), 'points for the emulator')
    call mam4_report(workspaces(1)%counts(:3), unit, stat, errmsg)
    call expect(AEROACT_INVALID_ARGUMENT, stat, errmsg, 'too few counts')
    close (unit)
    call mam4_report(workspaces, -77, stat, errmsg)
    call expect(AEROACT_INVALID_ARGUMENT, stat, errmsg, 'no unit')
  end subroutine report

  subroutine check_outside(point)
    real(real64), intent(in) :: point(:)

    type(answer) :: given

    given = activated(scheme, point)
    call check_arg2000(point, given)
  end subroutine check_outside

  !> Whether a file has such a line, however it is spaced.
  function has_line(unit, text)
    integer, intent(in) :: unit
    character(len=*), intent(in) :: text
    logical :: has_line

    character(len=200) :: line
    integer :: failed, gap

    has_line = .false.
    rewind (unit)
    do
      read (unit, '(a)', iostat=failed) line
      if (failed /= 0) exit
      line = adjustl(line)
      do
        gap = index(trim(line), '  ')
        if (gap == 0) exit
        line(gap:) = line(gap + 1:)
      end do
      has_line = has_line .or. index(line, text) > 0
    end do
  end function has_line

  function in_domain(point)
    real(real64), intent(in) :: point(:)
    logical :: in_domain

    in_domain = scheme%in_domain(point(1), point(2), point(3), point(4), point(5:8), &
      point(9:12), point(13:16))
  end function in_domain

  function activated(by, point) result(given)
    type(mam4_activation), intent(in) :: by
    real(real64), intent(in) :: point(:)
    type(answer) :: given

    call activate_modal_nn(by, workspace, point(1), point(2), point(3), point(4), point(5:8), &
      point(9:12), point(13:16), given%fn, given%fm, given%fluxn, given%fluxm, given%flux, &
      stat, errmsg)
  end function activated

  subroutine check_arg2000(point, given)
    real(real64), intent(in) :: point(:)
    type(answer), intent(in) :: given

    real(real64) :: fm(4), fn(4), smax

    call arg2000(point(1), point(2), point(3), point(5:8), point(9:12), point(13:16), fn, fm, smax)
    call check(all(same(given%fn, fn)) .and. all(same(given%fm, fm)) &
      .and. all(same(given%fluxn, fn*point(1))) .and. all(same(given%fluxm, fm*point(1))) &
      .and. same(given%flux, point(1)), 'the answer is not that of ARG2000')
  end subroutine check_arg2000

  subroutine check_count(which, wanted, what)
    integer, intent(in) :: which, wanted
    character(len=*), intent(in) :: what

    call check(workspace%counts(which) == wanted, 'count: '//what)
  end subroutine check_count

  !> The schema's state of a point, in double precision.
  function schema_state(point) result(x)
    real(real64), intent(in) :: point(:)
    real(real64) :: x(16)

    x(1:4) = [point(2), 2.870423114_real64*point(3)*point(2), point(4), 100*point(1)]
    x(5:8) = 1e-6_real64*point(5:8)
    x(9:12) = 1e6_real64*(point(9:12)/(point(5:8)*volume_of_cube()))**(1/3.0_real64)
    x(13:16) = point(13:16)
  end function schema_state

  !> The point of a schema's state.
  function e3sm_point(x) result(point)
    real(real64), intent(in) :: x(16)
    real(real64) :: point(24)

    point = 0
    point(1:4) = [1e-2_real64*x(4), x(1), x(2)/(2.870423114_real64*x(1)), x(3)]
    point(5:8) = 1e6_real64*x(5:8)
    point(9:12) = point(5:8)*volume_of_cube()*(1e-6_real64*x(9:12))**3
    point(13:16) = x(13:16)
  end function e3sm_point

  !> Mean volume of a mode's particles over the cube of their number-median radius.
  function volume_of_cube() result(factor)
    real(real64) :: factor(4)

    factor = 4*acos(-1.0_real64)/3 &
      *exp(4.5_real64*log([1.8_real64, 1.6_real64, 1.8_real64, 1.6_real64])**2)
  end function volume_of_cube

  !> The modes of a chunk's points become the last dimension.
  pure function modes(values) result(last)
    real(real64), intent(in) :: values(:, :, :)
    real(real64) :: last(size(values, 2), size(values, 3), size(values, 1))

    integer :: m

    do m = 1, size(values, 1)
      last(:, :, m) = values(m, :, :)
    end do
  end function modes

  elemental function same(a, b)
    real(real64), intent(in) :: a, b
    logical :: same

    same = transfer(a, 0_int64) == transfer(b, 0_int64)
  end function same

  function is_nan(given)
    type(answer), intent(in) :: given
    logical :: is_nan

    is_nan = all(same([given%fn, given%fm, given%fluxn, given%fluxm, given%flux], not_a_number()))
  end function is_nan

  pure function not_a_number()
    real(real64) :: not_a_number

    not_a_number = transfer(int(z'7FF8000000000000', int64), not_a_number)
  end function not_a_number

  pure function infinity()
    real(real64) :: infinity

    infinity = transfer(int(z'7FF0000000000000', int64), infinity)
  end function infinity

end program test_mam4
