!> Time emulators and ARG2000 as a climate model runs them: compiled, in one process, in turn.
!!
!!     time_emulators [ONNXRUNTIME]
!!
!! `aeroact-export` builds this and runs it in a folder with
!!
!! - `plan.txt`: how many states, emulators, batches and rounds, and how far fractions may be from
!!   what is expected; then the batches; then the emulators' names, one a line,
!! - `states.bin`: states (16, n) in single precision, in the schema's order and units,
!! - `1.onnx`, `2.onnx`, ...: the emulators,
!! - `0.fn`, `1.fn`, ...: the fractions (4, n) that ARG2000 and they are expected to give.
!!
!! ONNXRUNTIME is the shared library for the backend `ort`, which is left out without it. A network
!! that the backend `native` cannot evaluate is left out there.
!!
!! Once the fractions are the expected ones, all take turns, round after round, as in Python's
!! `aeroact.timing`: one call that does not count, then as many that do as last some milliseconds.
!! A call of an emulator is `run` on a batch in schema units; ARG2000 gets all states, one by one, as
!! E3SM hands them over: in SI units, with volumes for radii. Each turn is a line of output (backend,
!! emulator, states a call, seconds of this process a call), and so is the end of each round.
program time_emulators
  use, intrinsic :: iso_fortran_env, only: error_unit, output_unit, real32, real64
  use aeroact, only: AEROACT_ERRMSG_LEN, AEROACT_NMODES, AEROACT_NOT_NATIVE, AEROACT_NSTATE, &
    AEROACT_OK, aeroact_init, aeroact_model, aeroact_workspace
  use aeroact_arg2000, only: DRY_AIR_GAS_CONSTANT, MAM4_LN_SIGMA, arg2000
  use aeroact_status, only: decimal
  implicit none

  real(real64), parameter :: TURN = 3e-3_real64
    !! seconds of work in a turn, which the clock must resolve
  real(real64), parameter :: SHARE = 1.5_real64
    !! seconds in all turns of one contender: what takes longer gets fewer turns, one at least

  !> What is timed.
  type :: contender
    character(len=7) :: backend = 'arg2000'
    integer :: emulator = 0
    integer :: states = 0
      !! a call
    integer :: calls = 1
      !! a turn
    real(real64) :: taken = 0
      !! seconds of all turns
    type(aeroact_model) :: model
    type(aeroact_workspace) :: workspace
  end type contender

  type(contender), allocatable :: contenders(:)
  character(len=AEROACT_ERRMSG_LEN) :: errmsg
  character(len=4096) :: library
  character(len=512), allocatable :: names(:)
  integer, allocatable :: batches(:)
  real(real32), allocatable, target :: fn(:, :), x(:, :)
  real(real32), allocatable :: expected(:, :)
  real(real64), allocatable, dimension(:) :: rhoair, tair, wbar
  real(real64), allocatable, dimension(:, :) :: fractions, hygro, na, volume
  real(real64) :: bound, seconds
  integer :: emulator, i, n_contenders, n_emulators, n_states, round, rounds, stat

  call read_plan()
  allocate (x(AEROACT_NSTATE, n_states), fn(AEROACT_NMODES, n_states), &
    expected(AEROACT_NMODES, n_states), contenders(1 + 2*n_emulators*size(batches)))
  call read_numbers('states.bin', x)

  n_contenders = 1
  contenders(1)%states = n_states
  call prepare_arg2000()
  if (command_argument_count() > 0) then
    call get_command_argument(1, library)
    call aeroact_init(stat, errmsg, trim(library))
    call stop_on_failure('ONNX Runtime')
  end if
  do emulator = 1, n_emulators
    call read_numbers(decimal(emulator)//'.fn', expected)
    call prepare_emulator('native')
    if (command_argument_count() > 0) call prepare_emulator('ort')
  end do

  do i = 1, n_contenders
    do
      call take_turn(contenders(i), seconds)
      if (seconds >= TURN) exit
      contenders(i)%calls = 2*contenders(i)%calls
    end do
  end do
  do round = 1, rounds
    do i = 1, n_contenders
      associate (c => contenders(i))
        if (c%taken > SHARE*(round - 1)/rounds) cycle
        call take_turn(c, seconds)
        c%taken = c%taken + seconds
        write (output_unit, '(2(a, 1x), i0, 1x, i0, es14.6e3)') 'turn', trim(c%backend), &
          c%emulator, c%states, seconds/c%calls
      end associate
    end do
    write (output_unit, '(a, i0)') 'round ', round
    flush (output_unit)
  end do

contains

  subroutine read_plan()
    integer :: n_batches, unit

    open (newunit=unit, file='plan.txt', status='old', action='read')
    read (unit, *) n_states, n_emulators, n_batches, rounds, bound
    allocate (batches(n_batches), names(n_emulators))
    read (unit, *) batches
    read (unit, '(a)') names
    close (unit)
  end subroutine read_plan

  subroutine read_numbers(path, numbers)
    character(len=*), intent(in) :: path
    real(real32), intent(out) :: numbers(:, :)

    integer :: unit

    open (newunit=unit, file=path, status='old', action='read', access='stream', &
      form='unformatted')
    read (unit) numbers
    close (unit)
  end subroutine read_numbers

  !> Put the states into E3SM's form, and see that ARG2000 gives what is expected.
  subroutine prepare_arg2000()
    real(real64), parameter :: PI = acos(-1.0_real64)
    real(real64) :: state(AEROACT_NSTATE)
    integer :: i, m

    allocate (wbar(n_states), tair(n_states), rhoair(n_states))
    allocate (na(AEROACT_NMODES, n_states), volume(AEROACT_NMODES, n_states), &
      hygro(AEROACT_NMODES, n_states), fractions(AEROACT_NMODES, n_states))
    do i = 1, n_states
      state = real(x(:, i), real64)
      tair(i) = state(1)
      rhoair(i) = 100*state(2)/(DRY_AIR_GAS_CONSTANT*state(1))
      wbar(i) = state(4)/100
      do m = 1, AEROACT_NMODES
        na(m, i) = 1e6_real64*state(4 + m)
        volume(m, i) = na(m, i)*4*PI/3*(1e-6_real64*state(8 + m))**3 &
          *exp(4.5_real64*MAM4_LN_SIGMA(m)**2)
        hygro(m, i) = state(12 + m)
      end do
    end do
    call read_numbers('0.fn', expected)
    call activate_all()
    fn = real(fractions, real32)
    call require_expected('ARG2000')
  end subroutine prepare_arg2000

  !> Load the emulator, see that it gives what is expected, and enter a contender for each batch.
  subroutine prepare_emulator(backend)
    character(len=*), intent(in) :: backend

    type(aeroact_model) :: model
    character(len=:), allocatable :: name
    integer :: i

    name = trim(names(emulator))//', backend '//backend
    call model%load(decimal(emulator)//'.onnx', stat, errmsg, backend=backend)
    if (stat == AEROACT_NOT_NATIVE) return
    call stop_on_failure(name)
    call model%predict(x, fn, stat, errmsg)
    call stop_on_failure(name)
    call require_expected(name)
    do i = 1, size(batches)
      n_contenders = n_contenders + 1
      associate (c => contenders(n_contenders))
        c%backend = backend
        c%emulator = emulator
        c%states = batches(i)
        c%model = model
        call c%workspace%bind(model, x(:, :batches(i)), fn(:, :batches(i)), stat, errmsg)
      end associate
      call stop_on_failure(name)
    end do
  end subroutine prepare_emulator

  !> Seconds that the calls of a turn take.
  subroutine take_turn(c, seconds)
    type(contender), intent(inout) :: c
    real(real64), intent(out) :: seconds

    real(real64) :: began
    integer :: call_number

    call once(c)  ! finds the caches as the one before left them
    call cpu_time(began)
    do call_number = 1, c%calls
      call once(c)
    end do
    call cpu_time(seconds)
    seconds = seconds - began
  end subroutine take_turn

  subroutine once(c)
    type(contender), intent(inout) :: c

    if (c%emulator == 0) then
      call activate_all()
    else
      call c%model%run(c%workspace, stat)
      if (stat /= AEROACT_OK) call give_up(trim(names(c%emulator))//': a call failed with status ' &
        //decimal(stat))
    end if
  end subroutine once

  subroutine activate_all()
    real(real64) :: fm(AEROACT_NMODES), smax
    integer :: point

    do point = 1, n_states
      call arg2000(wbar(point), tair(point), rhoair(point), na(:, point), volume(:, point), &
        hygro(:, point), fractions(:, point), fm, smax)
    end do
  end subroutine activate_all

  subroutine require_expected(name)
    character(len=*), intent(in) :: name

    character(len=9) :: difference

    ! Not any(... > bound): a NaN must not pass.
    if (all(abs(fn - expected) <= bound)) return
    write (difference, '(es9.2)') maxval(abs(fn - expected))
    call give_up(name//': fn differs by up to '//trim(adjustl(difference))//' from Python')
  end subroutine require_expected

  subroutine stop_on_failure(name)
    character(len=*), intent(in) :: name

    if (stat /= AEROACT_OK) call give_up(name//': '//trim(errmsg))
  end subroutine stop_on_failure

  subroutine give_up(reason)
    character(len=*), intent(in) :: reason

    write (error_unit, '(a)') reason
    flush (error_unit)  ! ahead of what STOP says
    stop 1
  end subroutine give_up

end program time_emulators
