!> Every fault gets its own status and a sentence that helps, from either backend, and after it a
!! good call works.
program test_faults
  use, intrinsic :: ieee_arithmetic, only: ieee_is_finite, ieee_is_nan, ieee_positive_inf, &
    ieee_quiet_nan, ieee_value
  use, intrinsic :: iso_c_binding, only: c_associated, c_f_procpointer, c_funptr, c_int
  use, intrinsic :: iso_fortran_env, only: int64, int8, real32, real64
  use aeroact
  use aeroact_dl, only: dl_open, dl_symbol
  use testing
  use testing_memory
  implicit none

  character(len=*), parameter :: backends(2) = [character(len=6) :: 'ort', 'native']
  integer, parameter :: few = 7
  real(real64), parameter :: backends_agree = 5e-6_real64

  character(len=:), allocatable, save :: backend
  character(len=AEROACT_ERRMSG_LEN) :: errmsg
  type(aeroact_model) :: model, other
  type(aeroact_workspace) :: workspace
  real(real64), target :: x8(AEROACT_NSTATE, nstates), y8(AEROACT_NMODES, nstates)
  real(real32), target :: x4(AEROACT_NSTATE, nstates), y4(AEROACT_NMODES, nstates)
  real(real64) :: expected(AEROACT_NMODES, nstates)
  integer :: column_stat(nstates), b, stat

  call read_columns('states.txt', x8)
  x4 = real(x8, real32)
  call read_columns('mlp.expected.txt', expected)

  select case (argument(1))
  case ('old_library')
    call old_library()
    call finish()
    stop
  case ('runtime_failures')
    call runtime_failures()
  end select

  call open_runtime()
  do b = 1, size(backends)
    backend = trim(backends(b))
    call load(model, 'mlp.onnx')
    y8 = -1
    y4 = -1
    select case (argument(1))
    case ('cut_bytes')
      call cut_bytes()
    case ('flipped_bits')
      if (b == 1) call flipped_bits()
    case ('other_schema')
      call other_schema()
    case ('wrong_arrays')
      call wrong_arrays()
    case ('failed_calls')
      call failed_calls()
    case ('not_contiguous')
      call not_contiguous()
    case ('no_columns')
      call no_columns()
    case ('bad_states')
      call bad_states()
    case ('many_bad_states')
      if (backend == 'ort') call many_bad_states()
    case ('bad_predictions')
      call bad_predictions()
    case ('unbound')
      call unbound()
    case ('other_arguments')
      call other_arguments()
    case ('garbled_weights')
      call garbled_weights()
    case ('foreign_network')
      call foreign_network()
    case ('no_memory')
      call no_memory()
    end select
    call good_call()
    call workspace%free()
  end do

  call finish()

contains

  !> The model predicts what it should, by either way.
  subroutine good_call()
    call load(model, 'mlp.onnx')
    call predicts_as_expected(model, 'mlp', few)
    call read_columns('states.txt', x8)
    y8 = -1
    call workspace%bind(model, x8, y8, stat, errmsg)
    call expect(AEROACT_OK, stat, errmsg, backend//': bind afterwards')
    call model%run(workspace, stat, errmsg)
    call expect(AEROACT_OK, stat, errmsg, backend//': run afterwards')
    call check(all(abs(y8 - expected) <= backends_agree), backend//': run afterwards')
  end subroutine good_call

  subroutine load(one, name)
    type(aeroact_model), intent(inout) :: one
    character(len=*), intent(in) :: name

    call one%load(data_file(name), stat, errmsg, backend=backend)
    call expect(AEROACT_OK, stat, errmsg, backend//': load '//name)
  end subroutine load

  subroutine old_library()
    character(len=1024) :: path

    call get_environment_variable('AEROACT_OLD_LIBRARY', path)
    call aeroact_init(stat, errmsg, path)
    call expect(AEROACT_LIBRARY_TOO_OLD, stat, errmsg, 'too old', '1.19.2')
    call expect(AEROACT_LIBRARY_TOO_OLD, stat, errmsg, 'too old', '1.20')
    call model%load(data_file('mlp.onnx'), stat, errmsg, backend='ort')
    call expect(AEROACT_NOT_INITIALIZED, stat, errmsg, 'load without ONNX Runtime', 'aeroact_init')
    call model%load(data_file('mlp.onnx'), stat, errmsg, backend='native')
    call expect(AEROACT_OK, stat, errmsg, 'native needs no ONNX Runtime')
    call predicts_as_expected(model, 'mlp', few)
    call open_runtime()
    call still_works()
  end subroutine old_library

  !> Each call of each function of ONNX Runtime fails in turn. It is said so, in ONNX Runtime's
  !! words, and the library can be started again.
  subroutine runtime_failures()
    abstract interface
      subroutine fail_slot_i(slot, call_number) bind(c)
        import :: c_int
        integer(c_int), value :: slot, call_number
      end subroutine fail_slot_i
    end interface
    procedure(fail_slot_i), pointer :: fail_slot
    character(len=1024) :: path
    integer :: failures, number, slot

    backend = 'ort'
    call get_environment_variable('AEROACT_FAILING_LIBRARY', path)
    call c_f_procpointer(dl_symbol(dl_open(path), 'fail_slot'), fail_slot)
    failures = 0
    do slot = 3, 137
      if (any(slot == [(b, b=92, 102), 118, 135])) cycle  ! they release and cannot fail
      do number = 1, 10
        call fail_slot(int(slot, c_int), int(number, c_int))
        call whole_life(path)
        if (stat == AEROACT_OK) exit  ! the function is not called so often
        failures = failures + 1
        call check(stat == AEROACT_RUNTIME_FAILED .or. stat == AEROACT_MODEL_INVALID, 'status')
        call check(index(errmsg, 'made to fail') > 0, "ONNX Runtime's words: "//trim(errmsg))
      end do
    end do
    call check(failures >= 15, 'too few of the calls failed')
    call fail_slot(-1_c_int, 0_c_int)
    call whole_life(path)
    call expect(AEROACT_OK, stat, errmsg, 'nothing fails')
  end subroutine runtime_failures

  !> From init to finalize, up to the first failure.
  subroutine whole_life(path)
    character(len=*), intent(in) :: path
    integer :: ignored

    errmsg = ''
    call aeroact_init(stat, errmsg, path)
    if (stat == AEROACT_OK) call model%load(data_file('mlp.onnx'), stat, errmsg)
    if (stat == AEROACT_OK) call workspace%bind(model, x8(:, :few), y8(:, :few), stat, errmsg)
    if (stat == AEROACT_OK) call model%run(workspace, stat, errmsg)
    if (stat == AEROACT_OK) call model%run(workspace, stat, errmsg, ncol=few - 2)
    if (stat == AEROACT_OK) call model%predict(x8, y8, stat, errmsg)
    call workspace%free(ignored)
    call model%free()
    call aeroact_finalize()
  end subroutine whole_life

  !> A file cut off anywhere is no model, or (cut behind what matters) still the same model.
  subroutine cut_bytes()
    integer(int8), allocatable :: bytes(:)
    integer :: accepted, n

    call aeroact_read_file(data_file('mlp.onnx'), bytes, stat, errmsg)
    call expect(AEROACT_OK, stat, errmsg, 'read')
    accepted = 0
    do n = 0, size(bytes) - 1
      ! Everywhere near the ends, where the structure is; here and there in the weights.
      if (n > 1200 .and. n < size(bytes) - 1200 .and. modulo(n, 31) /= 0) cycle
      call model%load(bytes(:n), stat, errmsg, backend=backend)
      if (stat == AEROACT_OK) then
        accepted = accepted + 1
        call predicts_as_expected(model, 'mlp', few)
      else
        call check(any(stat == [AEROACT_MODEL_INVALID, AEROACT_SIGNATURE_MISMATCH, &
          AEROACT_SCHEMA_VERSION_MISMATCH, AEROACT_COLUMNS_MISMATCH]), &
          backend//': cut: '//trim(errmsg))
        call check(errmsg /= '', backend//': cut without a sentence')
      end if
    end do
    call check(accepted < 5, backend//': too many cuts went unnoticed')
  end subroutine cut_bytes

  !> Flipped bits never end the program, and what both backends take for a model gives the same
  !! answer by both.
  subroutine flipped_bits()
    integer(int8), allocatable :: bytes(:), flipped(:)
    type(aeroact_model) :: native
    real(real32) :: answer(AEROACT_NMODES, few), native_answer(AEROACT_NMODES, few)
    integer :: accepted, i, native_stat, refused

    call aeroact_read_file(data_file('mlp.onnx'), bytes, stat, errmsg)
    accepted = 0
    refused = 0
    do i = 1, size(bytes)
      if (i > 1200 .and. i < size(bytes) - 1200 .and. modulo(i, 31) /= 0) cycle
      flipped = bytes
      flipped(i) = ieor(flipped(i), ibset(0_int8, modulo(5*i, 8)))
      call model%load(flipped, stat, errmsg, backend='ort')
      if (stat == AEROACT_OK) call model%predict(x4(:, :few), answer, stat, errmsg)
      call native%load(flipped, native_stat, errmsg, backend='native')
      if (native_stat == AEROACT_OK) then
        call native%predict(x4(:, :few), native_answer, native_stat, errmsg)
      end if
      if (stat == AEROACT_OK .and. native_stat == AEROACT_OK) then
        accepted = accepted + 1
        call check(all(abs(answer - native_answer) <= real(backends_agree, real32)), &
          'the backends differ where a bit is flipped')
      else
        refused = refused + 1
      end if
    end do
    call check(accepted > 100 .and. refused > 100, 'flipped bits: something to tell apart')
  end subroutine flipped_bits

  !> An emulator of another schema: other version, order, units, or silent about them.
  subroutine other_schema()
    call refuses('wrong_schema_version', AEROACT_SCHEMA_VERSION_MISMATCH, "'2'")
    call refuses('no_schema_version', AEROACT_SCHEMA_VERSION_MISMATCH, 'schema_version')
    call refuses('other_order', AEROACT_COLUMNS_MISMATCH, 'num_aer_aitken')
    call refuses('other_columns', AEROACT_COLUMNS_MISMATCH, 'dewpoint')
    call refuses('few_columns', AEROACT_COLUMNS_MISMATCH, 'columns')
    call refuses('no_columns', AEROACT_COLUMNS_MISMATCH, 'columns')
    call refuses('other_units', AEROACT_COLUMNS_MISMATCH, 'm-3')
    call refuses('no_units', AEROACT_COLUMNS_MISMATCH, 'units')
    call refuses('garbled_columns', AEROACT_COLUMNS_MISMATCH, 'columns')
  end subroutine other_schema

  subroutine refuses(name, wanted, mentions)
    character(len=*), intent(in) :: name, mentions
    integer, intent(in) :: wanted

    integer :: ignored

    call model%load(data_file(name//'.onnx'), stat, errmsg, backend=backend)
    call expect(wanted, stat, errmsg, backend//': '//name, mentions)
    call expect(wanted, stat, errmsg, backend//': '//name, name//'.onnx')
    call model%predict(x4, y4, ignored)
    call check(ignored == AEROACT_NOT_LOADED, backend//': '//name//' is not loaded')
  end subroutine refuses

  subroutine wrong_arrays()
    call model%predict(x4(:15, :few), y4(:, :few), stat, errmsg)
    call expect(AEROACT_SHAPE_MISMATCH, stat, errmsg, backend//': x is too narrow', 'x(15, 7)')
    call model%predict(x8(:, :few), y8(:3, :few), stat, errmsg)
    call expect(AEROACT_SHAPE_MISMATCH, stat, errmsg, backend//': y is too narrow', 'y(3, 7)')
    call model%predict(x8(:, :few), y8(:, :few - 1), stat, errmsg)
    call expect(AEROACT_SHAPE_MISMATCH, stat, errmsg, backend//': fewer columns', 'y(4, 6)')
    call model%predict(x8(:3, 1), y8(:, 1), stat, errmsg)
    call expect(AEROACT_SHAPE_MISMATCH, stat, errmsg, backend//': one column', 'x(3')
    call model%predict(x8(:, :few), y8(:, :few), stat, errmsg, column_stat(:few - 1))
    call expect(AEROACT_SHAPE_MISMATCH, stat, errmsg, backend//': column_stat', 'column_stat')
    call workspace%bind(model, x4(:15, :few), y4(:, :few), stat, errmsg)
    call expect(AEROACT_SHAPE_MISMATCH, stat, errmsg, backend//': bind x', 'x(15, 7)')
    call model%run(workspace, stat, errmsg)
    call expect(AEROACT_NOT_BOUND, stat, errmsg, backend//': run after that', 'bind')
    call workspace%bind(model, x8, y8(:, :few), stat, errmsg)
    call expect(AEROACT_SHAPE_MISMATCH, stat, errmsg, backend//': bind y', 'y(4, 7)')
    call untouched()
  end subroutine wrong_arrays

  !> Where a call fails as a whole, no column is said to be fine.
  subroutine failed_calls()
    call workspace%bind(model, x4(:, :few), y4(:, :few), stat)
    call other%predict(x4, y4, stat, errmsg, column_stat)
    call check_failed('predict with no model')
    call model%predict(x4(:15, :), y4, stat, errmsg, column_stat)
    call check_failed('predict from arrays of another shape')
    call model%predict(x8(:, nstates:1:-1), y8(:, nstates:1:-1), stat, errmsg, column_stat)
    call check_failed('predict from arrays in pieces')
    call model%run(workspace, stat, errmsg, column_stat, ncol=few + 1)
    call check_failed('run with too many columns')
    call workspace%free()
    call model%run(workspace, stat, errmsg, column_stat)
    call check_failed('run unbound')
    call untouched()
  end subroutine failed_calls

  subroutine check_failed(what)
    character(len=*), intent(in) :: what

    call check(stat /= AEROACT_OK .and. all(column_stat == stat), backend//': '//what)
    column_stat = AEROACT_OK
  end subroutine check_failed

  subroutine not_contiguous()
    call model%predict(x4(:, ::3), y4(:, ::3), stat, errmsg)
    call expect(AEROACT_NOT_CONTIGUOUS, stat, errmsg, backend//': real32', 'x')
    call model%predict(x8(:, nstates:1:-1), y8(:, nstates:1:-1), stat, errmsg)
    call expect(AEROACT_NOT_CONTIGUOUS, stat, errmsg, backend//': real64', 'x')
    call model%predict(x8(:, :few), y8(:, :2*few - 1:2), stat, errmsg)
    call expect(AEROACT_NOT_CONTIGUOUS, stat, errmsg, backend//': y alone', 'y')
    call model%predict(x8(1, :AEROACT_NSTATE), y8(:, 1), stat, errmsg)
    call expect(AEROACT_NOT_CONTIGUOUS, stat, errmsg, backend//': a row as a column', 'x')
    call workspace%bind(model, x4(:, ::3), y4(:, ::3), stat, errmsg)
    call expect(AEROACT_NOT_CONTIGUOUS, stat, errmsg, backend//': bind real32', 'x')
    call workspace%bind(model, x8(:, :few), y8(:, :2*few - 1:2), stat, errmsg)
    call expect(AEROACT_NOT_CONTIGUOUS, stat, errmsg, backend//': bind real64', 'y')
    call untouched()
  end subroutine not_contiguous

  subroutine no_columns()
    call model%predict(x4(:, :0), y4(:, :0), stat, errmsg)
    call expect(AEROACT_NO_COLUMNS, stat, errmsg, backend//': real32', 'column')
    call model%predict(x8(:, :0), y8(:, :0), stat, errmsg)
    call expect(AEROACT_NO_COLUMNS, stat, errmsg, backend//': real64', 'column')
    call workspace%bind(model, x8(:, :0), y8(:, :0), stat, errmsg)
    call expect(AEROACT_NO_COLUMNS, stat, errmsg, backend//': bind', 'column')
    call workspace%bind(model, x8, y8, stat, errmsg)
    call model%run(workspace, stat, errmsg, ncol=0)
    call expect(AEROACT_NO_COLUMNS, stat, errmsg, backend//': run', 'column')
    call untouched()
  end subroutine no_columns

  !> No call wrote to y.
  subroutine untouched()
    call check(all(nint(y4) == -1) .and. all(nint(y8) == -1), backend//': y is untouched')
  end subroutine untouched

  !> NaN and infinity in the state of some columns: those are told, the others are right.
  subroutine bad_states()
    integer, parameter :: bad(3) = [2, 5, 40]

    x8(1, 2) = ieee_value(1.0_real64, ieee_quiet_nan)
    x8(16, 5) = ieee_value(1.0_real64, ieee_positive_inf)
    x8(7, 40) = -x8(16, 5)
    x4 = real(x8, real32)

    call model%predict(x4, y4, stat, errmsg, column_stat)
    call tells(bad, real(y4, real64), 'predict real32')
    call model%predict(x8, y8, stat, errmsg, column_stat)
    call tells(bad, y8, 'predict real64')
    call model%predict(x8, y8, stat, errmsg)
    call expect(AEROACT_STATE_NOT_FINITE, stat, errmsg, backend//': without column_stat', '3')
    call workspace%bind(model, x4, y4, stat, errmsg)
    call model%run(workspace, stat, errmsg, column_stat)
    call tells(bad, real(y4, real64), 'run real32')
    call workspace%bind(model, x8, y8, stat, errmsg)
    call model%run(workspace, stat, errmsg, column_stat)
    call tells(bad, y8, 'run real64')
    call model%run(workspace, stat, errmsg, column_stat, ncol=1)
    call expect(AEROACT_OK, stat, errmsg, backend//': only the first columns, which are fine')
    call model%predict(x8(:, 5), y8(:, 5), stat, errmsg)
    call expect(AEROACT_STATE_NOT_FINITE, stat, errmsg, backend//': one column')
  end subroutine bad_states

  !> The sentence has room for large numbers.
  subroutine many_bad_states()
    integer, parameter :: good = 123456, bad = 1000000
    real(real32), allocatable :: x(:, :), y(:, :)

    allocate (x(AEROACT_NSTATE, good + bad), y(AEROACT_NMODES, good + bad))
    x(:, :good) = spread(x4(:, 1), 2, good)
    x(:, good + 1:) = ieee_value(1.0_real32, ieee_quiet_nan)
    call model%predict(x, y, stat, errmsg)
    call expect(AEROACT_STATE_NOT_FINITE, stat, errmsg, 'a million columns', '123457')
    call expect(AEROACT_STATE_NOT_FINITE, stat, errmsg, 'a million columns', '1000000')
  end subroutine many_bad_states

  !> The bad columns are told and are NaN, the others are right.
  subroutine tells(bad, answer, what)
    integer, intent(in) :: bad(:)
    real(real64), intent(in) :: answer(:, :)
    character(len=*), intent(in) :: what

    integer :: column

    call expect(AEROACT_STATE_NOT_FINITE, stat, errmsg, backend//': '//what, 'Column 2 ')
    do column = 1, nstates
      if (any(column == bad)) then
        call check(column_stat(column) == AEROACT_STATE_NOT_FINITE, backend//': '//what// &
          ': column_stat')
        call check(all(ieee_is_nan(answer(:, column))), backend//': '//what//': NaN')
      else
        call check(column_stat(column) == AEROACT_OK, backend//': '//what//': others')
        call check(all(abs(answer(:, column) - expected(:, column)) <= backends_agree), &
          backend//': '//what//': the others are right')
      end if
    end do
  end subroutine tells

  !> A network whose answer is no fraction, or no number, for some columns.
  subroutine bad_predictions()
    if (backend == 'native') return  ! its sigmoid gives fractions only
    call load(model, 'no_sigmoid.onnx')
    call model%predict(x8, y8, stat, errmsg, column_stat)
    call expect(AEROACT_OUT_OF_RANGE, stat, errmsg, 'no sigmoid', 'no_sigmoid.onnx')
    call check(any(column_stat == AEROACT_OK), 'no sigmoid: some columns are fine')
    call tells_columns('no sigmoid')

    call load(model, 'not_finite.onnx')
    call model%predict(x8, y8, stat, errmsg, column_stat)
    call expect(AEROACT_NOT_FINITE, stat, errmsg, 'not finite', 'not_finite.onnx')
    call check(any(column_stat == AEROACT_OUT_OF_RANGE), 'not finite: not all columns')
    call tells_columns('not finite')
  end subroutine bad_predictions

  !> Each column's status is what its numbers deserve; they are there all the same.
  subroutine tells_columns(what)
    character(len=*), intent(in) :: what

    integer :: column, deserved

    do column = 1, nstates
      deserved = AEROACT_OK
      if (.not. all(ieee_is_finite(y8(:, column)))) then
        deserved = AEROACT_NOT_FINITE
      else if (any(y8(:, column) < 0 .or. y8(:, column) > 1)) then
        deserved = AEROACT_OUT_OF_RANGE
      end if
      call check(column_stat(column) == deserved, what//': column_stat')
    end do
  end subroutine tells_columns

  !> A workspace that is not bound, no longer, to another model or with one that is gone.
  subroutine unbound()
    call model%run(workspace, stat, errmsg)
    call expect(AEROACT_NOT_BOUND, stat, errmsg, backend//': never bound', 'bind')
    call workspace%bind(model, x4, y4, stat, errmsg)
    call workspace%free(stat, errmsg)
    call expect(AEROACT_OK, stat, errmsg, backend//': free')
    call workspace%free(stat, errmsg)
    call expect(AEROACT_OK, stat, errmsg, backend//': free twice')
    call model%run(workspace, stat, errmsg)
    call expect(AEROACT_NOT_BOUND, stat, errmsg, backend//': freed', 'bind')

    call load(other, 'other.onnx')
    call workspace%bind(other, x4, y4, stat, errmsg)
    call model%run(workspace, stat, errmsg)
    call expect(AEROACT_NOT_BOUND, stat, errmsg, backend//': bound for another model', 'bind')
    call other%free()
    call other%run(workspace, stat, errmsg)
    call expect(AEROACT_NOT_LOADED, stat, errmsg, backend//': the model is freed', 'load')
    call load(other, 'other.onnx')
    call other%run(workspace, stat, errmsg)
    call expect(AEROACT_NOT_BOUND, stat, errmsg, backend//': loaded again since', 'bind')
    call other%free()
    call workspace%bind(other, x4, y4, stat, errmsg)
    call expect(AEROACT_NOT_LOADED, stat, errmsg, backend//': bind for no model', 'load')
    call other%predict(x4, y4, stat, errmsg)
    call expect(AEROACT_NOT_LOADED, stat, errmsg, backend//': predict with no model', 'load')

    ! ONNX Runtime is let go while a workspace is bound.
    call workspace%bind(model, x4, y4, stat, errmsg)
    call aeroact_finalize()
    call model%run(workspace, stat, errmsg)
    call expect(AEROACT_NOT_LOADED, stat, errmsg, backend//': run after finalize', 'load')
    call workspace%free()
    call open_runtime()
    call untouched()
  end subroutine unbound

  subroutine other_arguments()
    call other%load(data_file('mlp.onnx'), stat, errmsg, backend='onnx')
    call expect(AEROACT_INVALID_ARGUMENT, stat, errmsg, 'unknown backend', "'onnx'")
    call other%load(data_file('mlp.onnx'), stat, errmsg, intra_threads=0, backend=backend)
    call expect(AEROACT_INVALID_ARGUMENT, stat, errmsg, backend//': no threads', 'intra_threads')
    call other%load(data_file('no_such_model.onnx'), stat, errmsg, backend=backend)
    call expect(AEROACT_MODEL_NOT_FOUND, stat, errmsg, backend//': no file', 'no_such_model.onnx')
    call other%load(data_file('not_onnx.onnx'), stat, errmsg, backend=backend)
    call expect(AEROACT_MODEL_INVALID, stat, errmsg, backend//': a text file', 'not_onnx.onnx')
    call workspace%bind(model, x4(:, :few), y4(:, :few), stat, errmsg)
    call model%run(workspace, stat, errmsg, ncol=few + 1)
    call expect(AEROACT_SHAPE_MISMATCH, stat, errmsg, backend//': too many columns', 'ncol is 8')
    call model%run(workspace, stat, errmsg, ncol=-1)
    call expect(AEROACT_SHAPE_MISMATCH, stat, errmsg, backend//': fewer than none', 'ncol is -1')
    call untouched()
  end subroutine other_arguments

  !> A file that only the name makes a weights.nc.
  subroutine garbled_weights()
    call other%load(data_file('garbled_weights.nc'), stat, errmsg, backend=backend)
    if (backend == 'ort') then
      call expect(AEROACT_INVALID_ARGUMENT, stat, errmsg, 'for ONNX Runtime', 'emulator.onnx')
    else if (stat == AEROACT_NO_NETCDF) then
      call expect(AEROACT_NO_NETCDF, stat, errmsg, 'without netCDF-Fortran', 'netCDF-Fortran')
    else
      call expect(AEROACT_MODEL_INVALID, stat, errmsg, 'no netCDF', 'garbled_weights.nc')
    end if
  end subroutine garbled_weights

  !> Networks that ONNX Runtime runs and the native backend cannot read: it says so and does not
  !! guess. `auto` then is ONNX Runtime.
  subroutine foreign_network()
    character(len=*), parameter :: names(7) = [character(len=12) :: &
      'softplus', 'no_sigmoid', 'scaled_gemm', 'other_concat', 'other_log', 'one_square', 'gated']
    character(len=:), allocatable :: name
    real(real64) :: answer(AEROACT_NMODES, nstates)
    integer :: i

    if (backend == 'ort') return
    do i = 1, size(names)
      name = trim(names(i))
      call refuses(name, AEROACT_NOT_NATIVE, 'ort')
      call model%load(data_file(name//'.onnx'), stat, errmsg, backend='ort')
      call model%predict(x8, answer, stat)
      call model%load(data_file(name//'.onnx'), stat, errmsg, backend='auto')
      call expect(AEROACT_OK, stat, errmsg, name//': auto')
      call model%predict(x8, y8, stat)
      call check(all(abs(y8 - answer) <= 0), name//': auto predicts as ort')
    end do
  end subroutine foreign_network

  !> Memory runs out where a copy of the states is made.
  subroutine no_memory()
    integer, parameter :: ncol = 300000
    integer(int64), parameter :: mib = 2_int64**20
    real(real64), allocatable :: x(:, :), y(:, :)
    logical :: limited

    allocate (x(AEROACT_NSTATE, ncol), y(AEROACT_NMODES, ncol))
    x = spread(x8(:, 1), 2, ncol)
    y = -1
    call limit_memory(4*mib, limited)
    if (.not. limited) return
    call model%predict(x, y, stat, errmsg)
    call limit_memory(-1_int64, limited)
    if (stat == AEROACT_OK) then
      call check(all(abs(y - spread(expected(:, 1), 2, ncol)) <= backends_agree), &
        backend//': no memory needed')
    else
      call expect(AEROACT_NO_MEMORY, stat, errmsg, backend//': no memory', 'memory')
    end if
  end subroutine no_memory

end program test_faults
