!> What the test programs share: assertions, the case to run, and the data of make_models.py.
module testing
  use, intrinsic :: iso_fortran_env, only: error_unit, real32, real64
  use aeroact, only: AEROACT_ERRMSG_LEN, AEROACT_NMODES, AEROACT_NSTATE, AEROACT_OK, &
    aeroact_init, aeroact_model
  implicit none
  private

  public :: check, expect, finish, argument, data_file, read_columns, predicts_as_expected
  public :: open_runtime, still_works

  integer, parameter, public :: nstates = 1000
  real(real64), parameter, public :: tolerance = 1e-6_real64

  integer, save :: nchecks = 0, nfailures = 0

contains

  !> Note one assertion.
  subroutine check(condition, what)
    logical, intent(in) :: condition
    character(len=*), intent(in) :: what

    nchecks = nchecks + 1
    if (condition) return
    nfailures = nfailures + 1
    write (error_unit, '(2a)') 'FAILED: ', what
  end subroutine check

  !> The status is the wanted one, and the sentence is there exactly if something is wrong.
  subroutine expect(wanted, stat, errmsg, what, mentions)
    integer, intent(in) :: wanted, stat
    character(len=*), intent(in) :: errmsg, what
    character(len=*), intent(in), optional :: mentions
      !! what the sentence must name

    character(len=20) :: found

    write (found, '(i0)') stat
    call check(stat == wanted, what//': status '//trim(found)//' '//trim(errmsg))
    call check((errmsg == '') .eqv. (wanted == AEROACT_OK), what//': sentence: '//trim(errmsg))
    if (present(mentions)) then
      call check(index(errmsg, mentions) > 0, what//': no "'//mentions//'" in: '//trim(errmsg))
    end if
  end subroutine expect

  !> End the test program.
  subroutine finish()
    if (nchecks == 0) then
      write (error_unit, '(2a)') 'FAILED: nothing was checked in case ', argument(1)
      stop 1
    end if
    if (nfailures > 0) stop 1
  end subroutine finish

  !> A command-line argument.
  function argument(number) result(text)
    integer, intent(in) :: number
    character(len=:), allocatable :: text
    integer :: length

    call get_command_argument(number, length=length)
    allocate (character(len=length) :: text)
    if (length > 0) call get_command_argument(number, text)
  end function argument

  !> A file in the folder of the test data.
  function data_file(name) result(path)
    character(len=*), intent(in) :: name
    character(len=:), allocatable :: path

    path = argument(2)//'/'//name
  end function data_file

  !> Read one column a line, after `#` lines.
  subroutine read_columns(name, columns)
    character(len=*), intent(in) :: name
    real(real64), intent(out) :: columns(:, :)
    character(len=1) :: first
    integer :: column, unit

    open (newunit=unit, file=data_file(name), status='old', action='read')
    do
      read (unit, '(a)') first
      if (first /= '#') exit
    end do
    backspace (unit)
    do column = 1, size(columns, 2)
      read (unit, *) columns(:, column)
    end do
    close (unit)
  end subroutine read_columns

  !> Start ONNX Runtime or say that it cannot be started.
  subroutine open_runtime()
    character(len=AEROACT_ERRMSG_LEN) :: errmsg
    integer :: stat

    call aeroact_init(stat, errmsg)
    call expect(AEROACT_OK, stat, errmsg, 'init')
  end subroutine open_runtime

  !> A loaded model gives Python's answer for the first ncol states.
  subroutine predicts_as_expected(model, name, ncol)
    type(aeroact_model), intent(in) :: model
    character(len=*), intent(in) :: name
      !! the model's file without its extension
    integer, intent(in) :: ncol

    character(len=AEROACT_ERRMSG_LEN) :: errmsg
    real(real64), allocatable :: x(:, :), expected(:, :)
    real(real64) :: y(AEROACT_NMODES, ncol)
    real(real32) :: y4(AEROACT_NMODES, ncol)
    integer :: stat

    allocate (x(AEROACT_NSTATE, nstates), expected(AEROACT_NMODES, nstates))
    call read_columns('states.txt', x)
    call read_columns(name//'.expected.txt', expected)
    y = -1
    y4 = -1
    call model%predict(x(:, :ncol), y, stat, errmsg)
    call expect(AEROACT_OK, stat, errmsg, name//' real64')
    call check(all(abs(y - expected(:, :ncol)) <= tolerance), name//' real64: numbers differ')
    call model%predict(real(x(:, :ncol), real32), y4, stat, errmsg)
    call expect(AEROACT_OK, stat, errmsg, name//' real32')
    call check(all(abs(y4 - expected(:, :ncol)) <= tolerance), name//' real32: numbers differ')
  end subroutine predicts_as_expected

  !> After whatever went wrong before, a good model loads and predicts.
  subroutine still_works()
    type(aeroact_model) :: model
    character(len=AEROACT_ERRMSG_LEN) :: errmsg
    integer :: stat

    call model%load(data_file('mlp.onnx'), stat, errmsg)
    call expect(AEROACT_OK, stat, errmsg, 'a good model afterwards')
    if (stat == AEROACT_OK) call predicts_as_expected(model, 'mlp', 7)
  end subroutine still_works

end module testing
