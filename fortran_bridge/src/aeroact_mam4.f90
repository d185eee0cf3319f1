!> E3SM's activation of MAM4's four modes by an emulator, with ARG2000 to fall back on.
!!
!! `activate_modal_nn` means what E3SM's `activate_modal` means with one updraft, in the same MKS
!! units, for one point or for a chunk. Of a chunk all masked points are predicted in one batch.
!!
!! The emulator answers where the state lies within its training bounds. ARG2000 answers elsewhere,
!! and where the emulator fails. What happened how often is counted in the workspace.
module aeroact_mam4
  use, intrinsic :: iso_fortran_env, only: int64, real32, real64
  use aeroact_arg2000, only: DRY_AIR_GAS_CONSTANT, MAM4_LN_SIGMA, arg2000, dry_radius_cubed, &
    is_empty
  use aeroact_mam4_counts, only: MAM4_ABOVE, MAM4_ARG2000_FAILED, MAM4_ARG2000_NO_FRACTION, &
    MAM4_ARG2000_OUTSIDE, MAM4_BELOW, MAM4_NCOUNTS, MAM4_NETWORK, MAM4_NETWORK_OUTSIDE, &
    MAM4_NO_ANSWER, MAM4_NO_STATE, MAM4_NO_UPDRAFT, print_counts
  use aeroact_models, only: aeroact_model, aeroact_workspace
  use aeroact_normal, only: normal_quantile
  use aeroact_schema, only: AEROACT_NMODES, AEROACT_NSTATE
  use aeroact_status, only: AEROACT_ERRMSG_LEN, AEROACT_NO_MEMORY, AEROACT_NOT_BOUND, &
    AEROACT_NOT_FINITE, AEROACT_NOT_LOADED, AEROACT_OK, AEROACT_OUT_OF_RANGE, &
    AEROACT_SHAPE_MISMATCH, AEROACT_STATE_NOT_FINITE, fail, succeed
  implicit none
  private

  public :: activate_modal_nn, mam4_report

  public :: MAM4_NETWORK, MAM4_NETWORK_OUTSIDE, MAM4_ARG2000_OUTSIDE, MAM4_ARG2000_NO_FRACTION, &
    MAM4_ARG2000_FAILED, MAM4_NO_UPDRAFT, MAM4_NO_ANSWER, MAM4_NO_STATE, MAM4_BELOW, MAM4_ABOVE, &
    MAM4_NCOUNTS

  real(real64), parameter :: NOMINAL_RADIUS(AEROACT_NMODES) = &
    [0.055_real64, 0.013_real64, 1.0_real64, 0.025_real64]
    !! number-median dry radius of MAM4's modes, um
  real(real32), parameter :: ON_THE_BOUND = 1e-6_real32
    !! E3SM clips sizes and updrafts to the very bounds of the training; a few roundings beyond
    !! still count as within

  !> How to activate. It is only read once it is made: threads share it.
  type, public :: mam4_activation
    private
    type(aeroact_model) :: model
    logical :: ready = .false.
    logical :: fallback = .true.
    real(real32), dimension(AEROACT_NSTATE) :: low = 0, high = 0
      !! training bounds
    real(real32), dimension(AEROACT_NSTATE) :: lowest = 0, highest = 0
      !! what still counts as within
  contains
    procedure :: init
    procedure :: in_domain
  end type mam4_activation

  !> What a thread or a chunk has to itself: arrays of the batch, and counts. Not to be copied.
  !!
  !! Nothing need be done before the first call. Memory is allocated by the first call and by one
  !! that is handed a larger chunk than those before.
  type, public :: mam4_workspace
    private
    integer(int64), public :: counts(MAM4_NCOUNTS) = 0
      !! What happened to the points so far, by `MAM4_...`; `MPI_Reduce` may add them up.
    type(aeroact_workspace) :: batch
    real(real32), pointer, contiguous :: x(:, :) => null()
    real(real32), pointer, contiguous :: y(:, :) => null()
    integer, allocatable :: column_stat(:)
    integer, allocatable :: place(:, :)
      !! where in the chunk a point of the batch is
    logical, allocatable :: outside(:)
  contains
    procedure :: free => free_workspace
  end type mam4_workspace

  !> Aerosol and air at one point, in E3SM's units.
  type :: cloud_point
    real(real64) :: wbar, tair, rhoair, rh
    real(real64), dimension(AEROACT_NMODES) :: na, volume, hygro
  end type cloud_point

  !> Activated fractions at a point, or of a chunk's points.
  interface activate_modal_nn
    procedure :: activate_point, activate_chunk
  end interface activate_modal_nn

  !> Print what happened to all points: of some workspaces, or of their counts added up.
  interface mam4_report
    procedure :: report_workspaces, print_counts
  end interface mam4_report

contains

  !> Make the scheme from a loaded emulator and its training bounds.
  subroutine init(self, model, stat, errmsg, fallback)
    class(mam4_activation), intent(inout) :: self
    type(aeroact_model), intent(in) :: model
      !! loaded; it must stay so as long as the scheme is used
    integer, intent(out) :: stat
      !! `AEROACT_OK`, or what went wrong
    character(len=*), intent(out), optional :: errmsg
      !! what went wrong, in a sentence
    logical, intent(in), optional :: fallback
      !! whether ARG2000 answers where the emulator should not; true unless given

    self%fallback = .true.
    if (present(fallback)) self%fallback = fallback
    self%model = model
    call model%training_bounds(self%low, self%high, stat, errmsg)
    self%ready = stat == AEROACT_OK
    self%lowest = self%low - ON_THE_BOUND*abs(self%low)
    self%highest = self%high + ON_THE_BOUND*abs(self%high)
  end subroutine init

  !> Whether a point is within the training bounds, so that the emulator answers it.
  pure recursive function in_domain(self, wbar, tair, rhoair, rh, na, volume, hygro) &
    result(within)
    class(mam4_activation), intent(in) :: self
    real(real64), intent(in) :: wbar
      !! updraft velocity, m s-1
    real(real64), intent(in) :: tair
      !! temperature, K
    real(real64), intent(in) :: rhoair
      !! air density, kg m-3
    real(real64), intent(in) :: rh
      !! relative humidity over liquid, 1
    real(real64), intent(in) :: na(AEROACT_NMODES)
      !! number of particles, m-3
    real(real64), intent(in) :: volume(AEROACT_NMODES)
      !! volume of the particles, m3 m-3
    real(real64), intent(in) :: hygro(AEROACT_NMODES)
      !! hygroscopicity, 1
    logical :: within

    type(cloud_point) :: point
    real(real32) :: x(AEROACT_NSTATE)

    point = cloud_point(wbar, tair, rhoair, rh, na, volume, hygro)
    within = self%ready .and. is_state(point)
    if (.not. within) return
    x = state(self, point)
    within = all(x >= self%lowest .and. x <= self%highest)
  end function in_domain

  !> Activated fractions at one point, as E3SM's `activate_modal` gives them.
  recursive subroutine activate_point(scheme, workspace, wbar, tair, rhoair, rh, na, volume, &
    hygro, fn, fm, fluxn, fluxm, flux_fullact, stat, errmsg)
    type(mam4_activation), intent(in) :: scheme
      !! the emulator and what to fall back to, shared by threads
    type(mam4_workspace), intent(inout) :: workspace
      !! of this thread
    real(real64), intent(in) :: wbar
      !! updraft velocity, m s-1
    real(real64), intent(in) :: tair
      !! temperature, K
    real(real64), intent(in) :: rhoair
      !! air density, kg m-3
    real(real64), intent(in) :: rh
      !! relative humidity over liquid, 1
    real(real64), intent(in) :: na(AEROACT_NMODES)
      !! number of particles, m-3
    real(real64), intent(in) :: volume(AEROACT_NMODES)
      !! volume of the particles, m3 m-3
    real(real64), intent(in) :: hygro(AEROACT_NMODES)
      !! hygroscopicity, 1
    real(real64), intent(out) :: fn(AEROACT_NMODES)
      !! activated fraction of the number
    real(real64), intent(out) :: fm(AEROACT_NMODES)
      !! activated fraction of the mass
    real(real64), intent(out) :: fluxn(AEROACT_NMODES)
      !! flux of the activated number fraction into cloud, m s-1
    real(real64), intent(out) :: fluxm(AEROACT_NMODES)
      !! flux of the activated mass fraction into cloud, m s-1
    real(real64), intent(out) :: flux_fullact
      !! flux if all activated, m s-1
    integer, intent(out) :: stat
      !! `AEROACT_OK`, or what went wrong
    character(len=*), intent(out), optional :: errmsg
      !! what went wrong, in a sentence

    real(real64), dimension(1, 1, AEROACT_NMODES) :: fm1, fn1, fluxm1, fluxn1, hygro1, na1, volume1
    real(real64) :: flux1(1, 1), rh1(1, 1), rhoair1(1, 1), tair1(1, 1), wbar1(1, 1)
    logical :: mask(1, 1)

    mask = .true.
    wbar1 = wbar
    tair1 = tair
    rhoair1 = rhoair
    rh1 = rh
    na1(1, 1, :) = na
    volume1(1, 1, :) = volume
    hygro1(1, 1, :) = hygro
    call activate_chunk(scheme, workspace, mask, wbar1, tair1, rhoair1, rh1, na1, volume1, hygro1, &
      fn1, fm1, fluxn1, fluxm1, flux1, stat, errmsg)
    fn = fn1(1, 1, :)
    fm = fm1(1, 1, :)
    fluxn = fluxn1(1, 1, :)
    fluxm = fluxm1(1, 1, :)
    flux_fullact = flux1(1, 1)
  end subroutine activate_point

  !> Activated fractions at the masked points of a chunk; the other points get zeros.
  recursive subroutine activate_chunk(scheme, workspace, mask, wbar, tair, rhoair, rh, na, volume, &
    hygro, fn, fm, fluxn, fluxm, flux_fullact, stat, errmsg)
    type(mam4_activation), intent(in) :: scheme
      !! the emulator and what to fall back to, shared by threads
    type(mam4_workspace), intent(inout) :: workspace
      !! of this thread
    logical, intent(in) :: mask(:, :)
      !! (pcols, pver): where there is cloud to activate in
    real(real64), dimension(:, :), intent(in) :: wbar
      !! (pcols, pver): updraft velocity, m s-1
    real(real64), dimension(:, :), intent(in) :: tair
      !! (pcols, pver): temperature, K
    real(real64), dimension(:, :), intent(in) :: rhoair
      !! (pcols, pver): air density, kg m-3
    real(real64), dimension(:, :), intent(in) :: rh
      !! (pcols, pver): relative humidity over liquid, 1
    real(real64), dimension(:, :, :), intent(in) :: na
      !! (pcols, pver, 4): number of particles, m-3
    real(real64), dimension(:, :, :), intent(in) :: volume
      !! (pcols, pver, 4): volume of the particles, m3 m-3
    real(real64), dimension(:, :, :), intent(in) :: hygro
      !! (pcols, pver, 4): hygroscopicity, 1
    real(real64), dimension(:, :, :), intent(inout) :: fn
      !! (pcols, pver, 4): activated fraction of the number
    real(real64), dimension(:, :, :), intent(inout) :: fm
      !! (pcols, pver, 4): activated fraction of the mass
    real(real64), dimension(:, :, :), intent(inout) :: fluxn
      !! (pcols, pver, 4): flux of the activated number fraction into cloud, m s-1
    real(real64), dimension(:, :, :), intent(inout) :: fluxm
      !! (pcols, pver, 4): flux of the activated mass fraction into cloud, m s-1
    real(real64), dimension(:, :), intent(inout) :: flux_fullact
      !! (pcols, pver): flux if all activated, m s-1
    integer, intent(out) :: stat
      !! `AEROACT_OK`, or what went wrong; all other points are right even so
    character(len=*), intent(out), optional :: errmsg
      !! what went wrong, in a sentence

    character(len=AEROACT_ERRMSG_LEN) :: run_errmsg
    type(cloud_point) :: point
    integer :: c, i, k, n, run_stat

    call check_shapes(mask, wbar, tair, rhoair, rh, na, volume, hygro, fn, fm, fluxn, fluxm, &
      flux_fullact, stat, errmsg)
    if (stat /= AEROACT_OK) return
    fn = 0
    fm = 0
    fluxn = 0
    fluxm = 0
    flux_fullact = 0
    if (.not. any(mask)) return

    call reserve(workspace, scheme, size(mask), run_stat, run_errmsg)
    n = 0
    do k = 1, size(mask, 2)
      do i = 1, size(mask, 1)
        if (.not. mask(i, k)) cycle
        point = point_at(i, k)
        if (.not. is_state(point)) then
          call give_nan(MAM4_NO_STATE)
        else if (point%wbar <= 0) then
          call note(MAM4_NO_UPDRAFT)
        else if (run_stat /= AEROACT_OK) then
          call do_without(MAM4_ARG2000_FAILED)
        else
          n = n + 1
          workspace%place(:, n) = [i, k]
          workspace%x(:, n) = state(scheme, point)
          call check_bounds(scheme, workspace%x(:, n), workspace%outside(n), &
            workspace%counts(MAM4_BELOW + 1:MAM4_BELOW + AEROACT_NSTATE), &
            workspace%counts(MAM4_ABOVE + 1:MAM4_ABOVE + AEROACT_NSTATE))
          if (workspace%outside(n) .and. scheme%fallback) then
            call do_without(MAM4_ARG2000_OUTSIDE)
            n = n - 1
          end if
        end if
      end do
    end do
    if (n > 0) call predict(scheme, workspace, n, run_stat, run_errmsg)

    do c = 1, n
      i = workspace%place(1, c)
      k = workspace%place(2, c)
      point = point_at(i, k)
      if (run_stat /= AEROACT_OK) then
        call do_without(MAM4_ARG2000_FAILED)
      else if (workspace%column_stat(c) /= AEROACT_OK) then
        call do_without(MAM4_ARG2000_NO_FRACTION)
      else
        call take_network(real(workspace%y(:, c), real64))
        call note(merge(MAM4_NETWORK_OUTSIDE, MAM4_NETWORK, workspace%outside(c)))
      end if
    end do
    if (run_stat /= AEROACT_OK) call fail(run_stat, run_errmsg, stat, errmsg)

  contains

    recursive function point_at(i, k) result(point)
      integer, intent(in) :: i, k
      type(cloud_point) :: point

      point%wbar = wbar(i, k)
      point%tair = tair(i, k)
      point%rhoair = rhoair(i, k)
      point%rh = rh(i, k)
      point%na = na(i, k, :)
      point%volume = volume(i, k, :)
      point%hygro = hygro(i, k, :)
    end function point_at

    recursive subroutine note(what)
      integer, intent(in) :: what

      workspace%counts(what) = workspace%counts(what) + 1
    end subroutine note

    !> Answer the point at (i, k) with the emulator's fraction.
    recursive subroutine take_network(fraction)
      real(real64), intent(in) :: fraction(AEROACT_NMODES)

      integer :: m

      do m = 1, AEROACT_NMODES
        fn(i, k, m) = fraction(m)
        if (is_empty(point%na(m), point%volume(m))) fn(i, k, m) = 0
        fm(i, k, m) = mass_fraction(fn(i, k, m), MAM4_LN_SIGMA(m))
      end do
      call set_fluxes()
    end subroutine take_network

    !> Answer the point at (i, k) without the emulator.
    recursive subroutine do_without(reason)
      integer, intent(in) :: reason

      real(real64) :: smax
      real(real64), dimension(AEROACT_NMODES) :: number, mass

      if (.not. scheme%fallback) then
        call give_nan(MAM4_NO_ANSWER)
        return
      end if
      call arg2000(point%wbar, point%tair, point%rhoair, point%na, point%volume, point%hygro, &
        number, mass, smax)
      fn(i, k, :) = number
      fm(i, k, :) = mass
      call set_fluxes()
      call note(reason)
    end subroutine do_without

    recursive subroutine set_fluxes()
      fluxn(i, k, :) = fn(i, k, :)*point%wbar
      fluxm(i, k, :) = fm(i, k, :)*point%wbar
      flux_fullact(i, k) = point%wbar
    end subroutine set_fluxes

    recursive subroutine give_nan(reason)
      integer, intent(in) :: reason

      fn(i, k, :) = quiet_nan()
      fm(i, k, :) = quiet_nan()
      fluxn(i, k, :) = quiet_nan()
      fluxm(i, k, :) = quiet_nan()
      flux_fullact(i, k) = quiet_nan()
      call note(reason)
      if (reason == MAM4_NO_STATE) then
        call fail(AEROACT_STATE_NOT_FINITE, 'The state of some points holds a NaN, an infinity or &
          &a value that air cannot have; they get NaN. Check what activate_modal_nn is given.', &
          stat, errmsg)
      else
        call fail(AEROACT_NOT_FINITE, 'The emulator gives no fraction for some points; they get &
          &NaN. Switch on the fallback to ARG2000.', stat, errmsg)
      end if
    end subroutine give_nan

  end subroutine activate_chunk

  !> See that the batch has room for n points and is bound to the scheme's emulator.
  recursive subroutine reserve(workspace, scheme, n, stat, errmsg)
    type(mam4_workspace), intent(inout) :: workspace
    type(mam4_activation), intent(in) :: scheme
    integer, intent(in) :: n
    integer, intent(out) :: stat
    character(len=*), intent(out) :: errmsg

    integer :: refused

    call succeed(stat, errmsg)
    if (.not. scheme%ready) then
      call fail(AEROACT_NOT_LOADED, 'The scheme has no emulator. Call init on it with a loaded one &
        &and check its status.', stat, errmsg)
      return
    end if
    if (associated(workspace%x)) then
      if (size(workspace%x, 2) >= n) return
    end if

    call release(workspace)
    allocate (workspace%x(AEROACT_NSTATE, n), workspace%y(AEROACT_NMODES, n), &
      workspace%column_stat(n), workspace%place(2, n), workspace%outside(n), stat=refused)
    if (refused /= 0) then
      call release(workspace)
      call fail(AEROACT_NO_MEMORY, 'There is no memory for the batch of points. Activate smaller &
        &chunks.', stat, errmsg)
      return
    end if
    call workspace%batch%bind(scheme%model, workspace%x, workspace%y, stat, errmsg)
    if (stat /= AEROACT_OK) call release(workspace)
  end subroutine reserve

  !> Predict the first n points of the batch; stat says whether the call as a whole failed.
  recursive subroutine predict(scheme, workspace, n, stat, errmsg)
    type(mam4_activation), intent(in) :: scheme
    type(mam4_workspace), intent(inout) :: workspace
    integer, intent(in) :: n
    integer, intent(out) :: stat
    character(len=*), intent(out) :: errmsg

    call run()
    if (stat == AEROACT_NOT_BOUND) then  ! the workspace last served another scheme
      call workspace%batch%bind(scheme%model, workspace%x, workspace%y, stat, errmsg)
      if (stat == AEROACT_OK) call run()
    end if
    if (any(stat == [AEROACT_NOT_FINITE, AEROACT_OUT_OF_RANGE, AEROACT_STATE_NOT_FINITE])) then
      call succeed(stat, errmsg)  ! column_stat tells which points these are
    end if

  contains

    recursive subroutine run()
      call scheme%model%run(workspace%batch, stat, errmsg, workspace%column_stat(:n), ncol=n)
    end subroutine run

  end subroutine predict

  !> The point's state in the schema's columns and units.
  !!
  !! An empty mode enters as the emptiest that the training knows, of nominal size: so it takes no
  !! water, and does not put the state outside the training bounds.
  pure recursive function state(scheme, point) result(x)
    class(mam4_activation), intent(in) :: scheme
    type(cloud_point), intent(in) :: point
    real(real32) :: x(AEROACT_NSTATE)

    integer :: kappa, m, number, radius

    x(1) = single(point%tair)
    x(2) = single(DRY_AIR_GAS_CONSTANT*point%rhoair*point%tair*1e-2_real64)
    x(3) = single(point%rh)
    x(4) = single(point%wbar*1e2_real64)
    do m = 1, AEROACT_NMODES
      number = 4 + m
      radius = 8 + m
      kappa = 12 + m
      x(kappa) = single(point%hygro(m))
      if (is_empty(point%na(m), point%volume(m))) then
        x(number) = scheme%low(number)
        x(radius) = within(real(NOMINAL_RADIUS(m), real32), radius)
        x(kappa) = within(x(kappa), kappa)
      else
        x(number) = single(point%na(m)*1e-6_real64)
        x(radius) = single(1e18_real64*dry_radius_cubed(m, point%na(m), point%volume(m))) &
          **(1/3.0_real32)
      end if
    end do

  contains

    pure recursive function within(number, column)
      real(real32), intent(in) :: number
      integer, intent(in) :: column
      real(real32) :: within

      within = min(max(number, scheme%low(column)), scheme%high(column))
    end function within

  end function state

  !> Whether a state is outside the training bounds; each column where it is so is counted.
  pure recursive subroutine check_bounds(scheme, x, outside, below, above)
    type(mam4_activation), intent(in) :: scheme
    real(real32), intent(in) :: x(AEROACT_NSTATE)
    logical, intent(out) :: outside
    integer(int64), dimension(AEROACT_NSTATE), intent(inout) :: below, above

    outside = any(x < scheme%lowest .or. x > scheme%highest)
    if (.not. outside) return
    where (x < scheme%lowest) below = below + 1
    where (x > scheme%highest) above = above + 1
  end subroutine check_bounds

  !> The activated fraction of the mass that goes with one of the number, as in ARG2000.
  !!
  !! Both are erfc of a distance from the smallest particle that activates, and the mass median is
  !! 3 ln**2(sigma) above the number median.
  pure recursive function mass_fraction(number_fraction, ln_sigma)
    real(real64), intent(in) :: number_fraction, ln_sigma
    real(real64) :: mass_fraction

    real(real64) :: z

    mass_fraction = number_fraction
    if (number_fraction <= 0 .or. number_fraction >= 1) return
    z = normal_quantile(number_fraction) + 3*ln_sigma
    mass_fraction = 0.5_real64*(1 + erf(sqrt(0.5_real64)*z))
  end function mass_fraction

  !> Whether the arithmetic of activation can be done: finite numbers, none of them absurd.
  pure recursive function is_state(point)
    type(cloud_point), intent(in) :: point
    logical :: is_state

    is_state = all_finite([point%wbar, point%tair, point%rhoair, point%rh]) &
      .and. all_finite(point%na) .and. all_finite(point%volume) .and. all_finite(point%hygro)
    if (.not. is_state) return  ! a comparison with a NaN would raise a flag
    is_state = abs(point%wbar) < 1e6_real64 .and. point%tair > 0 .and. point%tair < 1e3_real64 &
      .and. point%rhoair > 1e-30_real64 .and. point%rhoair < 1e3_real64 &
      .and. all(point%na < 1e30_real64) .and. all(point%volume < 1e30_real64) &
      .and. all(point%hygro < 1e10_real64)
  end function is_state

  !> Single precision without overflow or underflow.
  pure recursive function single(number)
    real(real64), intent(in) :: number
    real(real32) :: single

    real(real64), parameter :: LARGE = huge(single), SMALL = tiny(single)

    single = real(merge(min(max(number, -LARGE), LARGE), 0.0_real64, abs(number) >= SMALL), real32)
  end function single

  !> Whether four numbers are neither NaN nor infinite, by their bits.
  pure recursive function all_finite(numbers)
    real(real64), intent(in) :: numbers(4)
    logical :: all_finite

    integer(int64), parameter :: infinity_bits = int(z'7FF0000000000000', int64)

    all_finite = all(iand(transfer(numbers, infinity_bits, 4), infinity_bits) /= infinity_bits)
  end function all_finite

  !> A NaN that raises no flag when it is copied.
  pure recursive function quiet_nan()
    real(real64) :: quiet_nan

    quiet_nan = transfer(int(z'7FF8000000000000', int64), quiet_nan)
  end function quiet_nan

  !> All arrays are of the mask's shape, and there are four modes.
  pure recursive subroutine check_shapes(mask, wbar, tair, rhoair, rh, na, volume, hygro, fn, fm, &
    fluxn, fluxm, flux_fullact, stat, errmsg)
    logical, intent(in) :: mask(:, :)
    real(real64), dimension(:, :), intent(in) :: wbar, tair, rhoair, rh, flux_fullact
    real(real64), dimension(:, :, :), intent(in) :: na, volume, hygro, fn, fm, fluxn, fluxm
    integer, intent(out) :: stat
    character(len=*), intent(out), optional :: errmsg

    call succeed(stat, errmsg)
    if (all([flat(shape(wbar)), flat(shape(tair)), flat(shape(rhoair)), flat(shape(rh)), &
      flat(shape(flux_fullact)), deep(shape(na)), deep(shape(volume)), deep(shape(hygro)), &
      deep(shape(fn)), deep(shape(fm)), deep(shape(fluxn)), deep(shape(fluxm))])) return
    call fail(AEROACT_SHAPE_MISMATCH, 'The arrays are not mask(pcols, pver), wbar(pcols, pver), &
      &na(pcols, pver, 4) and so on. Hand over sections of one shape.', stat, errmsg)

  contains

    pure recursive function flat(extents)
      integer, intent(in) :: extents(2)
      logical :: flat

      flat = all(extents == shape(mask))
    end function flat

    pure recursive function deep(extents)
      integer, intent(in) :: extents(3)
      logical :: deep

      deep = all(extents == [shape(mask), AEROACT_NMODES])
    end function deep

  end subroutine check_shapes

  !> Print what happened to all points of some workspaces, such as those of all threads.
  subroutine report_workspaces(workspaces, unit, stat, errmsg)
    type(mam4_workspace), intent(in) :: workspaces(:)
      !! all of a run's, in any order
    integer, intent(in) :: unit
      !! open for formatted writing
    integer, intent(out), optional :: stat
      !! `AEROACT_OK`, or what went wrong
    character(len=*), intent(out), optional :: errmsg
      !! what went wrong, in a sentence

    integer(int64) :: counts(MAM4_NCOUNTS)
    integer :: i

    counts = 0
    do i = 1, size(workspaces)
      counts = counts + workspaces(i)%counts
    end do
    call print_counts(counts, unit, stat, errmsg)
  end subroutine report_workspaces

  !> Release the memory of a workspace and set its counts to zero.
  subroutine free_workspace(self)
    class(mam4_workspace), intent(inout) :: self

    call release(self)
    self%counts = 0
  end subroutine free_workspace

  !> Release the memory of a batch.
  recursive subroutine release(workspace)
    class(mam4_workspace), intent(inout) :: workspace

    integer :: ignored

    call workspace%batch%free(ignored)
    if (associated(workspace%x)) deallocate (workspace%x)
    if (associated(workspace%y)) deallocate (workspace%y)
    if (allocated(workspace%column_stat)) deallocate (workspace%column_stat)
    if (allocated(workspace%place)) deallocate (workspace%place)
    if (allocated(workspace%outside)) deallocate (workspace%outside)
  end subroutine release

end module aeroact_mam4
