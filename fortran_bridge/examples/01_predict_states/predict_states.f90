!> Predict the activated fractions of the states in a text file.
!!
!!     predict_states MODEL STATES [BACKEND]
!!
!! MODEL is a bundle's folder or its `emulator.onnx`, BACKEND is `ort` (unless given), `native`
!! or `auto`. STATES has one state a line: 16 numbers in the schema's
!! order and units (tair, pressure, rh, wbar, num_aer, r_aer and kappa of the four modes); blank
!! lines and lines that begin with `#` are passed over. One line of four fractions a state goes
!! to standard output: accumulation, Aitken, coarse, primary carbon.
!!
!! ONNX Runtime, which `native` does not need, is taken from `$AEROACT_ORT_LIB` or from the loader's
!! path. The exit status is 0
!! on success, 1 on failure (with one sentence on standard error), 2 on wrong use.
program predict_states
  use, intrinsic :: iso_fortran_env, only: error_unit, output_unit, real64
  use aeroact, only: AEROACT_ERRMSG_LEN, AEROACT_NMODES, AEROACT_NSTATE, AEROACT_OK, &
    aeroact_finalize, aeroact_init, aeroact_model
  implicit none

  type(aeroact_model) :: model
  character(len=AEROACT_ERRMSG_LEN) :: errmsg
  character(len=4096) :: model_path, states_path
  character(len=10) :: backend
  real(real64), allocatable :: states(:, :), fn(:, :)
  integer :: column, stat

  if (command_argument_count() < 2 .or. command_argument_count() > 3) then
    write (error_unit, '(a)') 'usage: predict_states MODEL STATES [BACKEND]'
    stop 2
  end if
  call get_command_argument(1, model_path)
  call get_command_argument(2, states_path)
  backend = 'ort'
  if (command_argument_count() == 3) call get_command_argument(3, backend)

  call read_states(trim(states_path), states)
  allocate (fn(AEROACT_NMODES, size(states, 2)))

  if (backend /= 'native') then
    call aeroact_init(stat, errmsg)
    call stop_on_failure()
  end if
  call model%load(trim(model_path), stat, errmsg, backend=trim(backend))
  call stop_on_failure()
  call model%predict(states, fn, stat, errmsg)
  call stop_on_failure()

  write (output_unit, '(a)') '# accum, aitken, coarse, pcarbon'
  do column = 1, size(fn, 2)
    write (output_unit, '(*(es16.8e3))') fn(:, column)
  end do

  call model%free()
  call aeroact_finalize()

contains

  !> The library never stops a program; this program may.
  subroutine stop_on_failure()
    if (stat == AEROACT_OK) return
    write (error_unit, '(2a)') 'predict_states: ', trim(errmsg)
    stop 1
  end subroutine stop_on_failure

  !> Read states(16, ncol), one column a line of the file.
  subroutine read_states(path, states)
    character(len=*), intent(in) :: path
    real(real64), allocatable, intent(out) :: states(:, :)

    character(len=4096) :: line
    integer :: column, failed, pass, unit

    open (newunit=unit, file=path, status='old', action='read', iostat=failed)
    if (failed /= 0) call give_up("cannot open '"//path//"'")

    do pass = 1, 2  ! count the states, then read them
      column = 0
      do
        read (unit, '(a)', iostat=failed) line
        if (failed /= 0) exit
        line = adjustl(line)
        if (line == '' .or. line(1:1) == '#') cycle
        column = column + 1
        if (pass == 1) cycle
        read (line, *, iostat=failed) states(:, column)
        if (failed /= 0) call give_up("not 16 numbers in '"//path//"': "//trim(line))
      end do
      if (pass == 1) allocate (states(AEROACT_NSTATE, column))
      rewind (unit)
    end do
    close (unit)
  end subroutine read_states

  subroutine give_up(reason)
    character(len=*), intent(in) :: reason

    write (error_unit, '(2a)') 'predict_states: ', reason
    stop 1
  end subroutine give_up

end program predict_states
