!> The two backends behind one model: the same numbers, however the model came and is asked.
program test_backends
  use, intrinsic :: iso_c_binding, only: c_f_procpointer, c_int
  use, intrinsic :: iso_fortran_env, only: int8, real32, real64
  use aeroact
  use aeroact_dl, only: dl_open, dl_symbol
  use testing
  implicit none

  character(len=*), parameter :: backends(3) = [character(len=6) :: 'ort', 'native', 'auto']
  character(len=*), parameter :: chosen_for(6) = [character(len=6) :: &
    '     1', '     4', '    16', '    64', '   256', '  1024']
  integer, parameter :: batches(5) = [1, 3, 17, 100, nstates]

  character(len=AEROACT_ERRMSG_LEN) :: errmsg
  type(aeroact_model) :: model
  type(aeroact_workspace) :: workspace
  real(real64), target :: x8(AEROACT_NSTATE, nstates), y8(AEROACT_NMODES, nstates)
  real(real32), target :: x4(AEROACT_NSTATE, nstates), y4(AEROACT_NMODES, nstates)
  real(real64) :: expected(AEROACT_NMODES, nstates)
  real(real32), dimension(AEROACT_NSTATE) :: low, high
  integer(int8), allocatable :: bytes(:)
  character(len=:), allocatable :: text
  integer :: i, k, n, stat

  call read_columns('states.txt', x8)
  call read_columns('mlp.expected.txt', expected)
  x4 = real(x8, real32)
  y8 = -1
  y4 = -1
  if (all(argument(1) /= [character(len=15) :: 'without_runtime', 'slow_runtime'])) &
    call open_runtime()

  select case (argument(1))
  case ('same_numbers')
    do k = 1, size(backends)
      call model%load(data_file('mlp.onnx'), stat, errmsg, backend=backends(k))
      call expect(AEROACT_OK, stat, errmsg, backends(k))
      do i = 1, size(batches)
        call predicts_as_expected(model, 'mlp', batches(i))
      end do
    end do

  case ('without_runtime')
    call model%load(data_file('mlp.onnx'), stat, errmsg, backend='native')
    call expect(AEROACT_OK, stat, errmsg, 'native')
    call predicts_as_expected(model, 'mlp', nstates)
    call model%load(data_file('other.onnx'), stat, errmsg, backend='auto')
    call expect(AEROACT_OK, stat, errmsg, 'auto')
    call predicts_as_expected(model, 'other', nstates)
    call model%load(data_file('raising.onnx'), stat, errmsg, backend='auto')
    call expect(AEROACT_NOT_NATIVE, stat, errmsg, 'auto, and not ours', 'raising.onnx')
    call model%load(data_file('mlp.onnx'), stat, errmsg)
    call expect(AEROACT_NOT_INITIALIZED, stat, errmsg, 'ort', 'aeroact_init')
    call open_runtime()

  case ('by_measurement')
    ! What only ONNX Runtime can evaluate is its own; otherwise each number of columns has a choice.
    call model%load(data_file('raising.onnx'), stat, errmsg, backend='auto')
    call expect(AEROACT_OK, stat, errmsg, 'auto')
    call predicts_as_expected(model, 'raising', nstates)
    call check(index(description(), 'Backend: ONNX Runtime') > 0, 'raising: '//description())
    call model%load(data_file('mlp.onnx'), stat, errmsg, backend='auto')
    text = description()
    do i = 1, size(chosen_for)
      k = index(text, chosen_for(i)//' or more: ')
      call check(k > 0, 'mlp: '//text)
      text = text(k + len(chosen_for) + len(' or more: '):)
      call check(index(text, 'native') == 1 .or. index(text, 'ONNX Runtime') == 1, 'mlp: '//text)
    end do

  case ('slow_runtime')
    call slow_runtime()

  case ('layouts')
    do k = 1, size(backends)
      call model%load(data_file('laid_out.onnx'), stat, errmsg, backend=backends(k))
      call expect(AEROACT_OK, stat, errmsg, backends(k))
      call predicts_as_expected(model, 'laid_out', nstates)
      call model%load(data_file('relu2.onnx'), stat, errmsg, backend=backends(k))
      call expect(AEROACT_OK, stat, errmsg, backends(k))
      call predicts_as_expected(model, 'relu2', nstates)
    end do

  case ('content')
    call aeroact_read_file(data_file('mlp.onnx'), bytes, stat, errmsg)
    call expect(AEROACT_OK, stat, errmsg, 'read')
    do k = 1, size(backends)
      call model%load(bytes, stat, errmsg, backend=backends(k))
      call expect(AEROACT_OK, stat, errmsg, 'load')
      if (k == size(backends)) bytes = 0_int8  ! no longer needed
      call predicts_as_expected(model, 'mlp', nstates)
    end do
    call model%load(bytes, stat, errmsg)
    call expect(AEROACT_MODEL_INVALID, stat, errmsg, 'zeros', 'bytes')
    call aeroact_read_file(data_file('missing.onnx'), bytes, stat, errmsg)
    call expect(AEROACT_MODEL_NOT_FOUND, stat, errmsg, 'read nothing', 'missing.onnx')
    call check(size(bytes) == 0, 'no bytes')

  case ('workspace_r4')
    do k = 1, size(backends)
      call model%load(data_file('mlp.onnx'), stat, errmsg, backend=backends(k))
      do i = 1, size(batches)
        n = batches(i)
        call workspace%bind(model, x4(:, :n), y4(:, :n), stat, errmsg)
        call expect(AEROACT_OK, stat, errmsg, 'bind')
        y4 = -1
        call model%run(workspace, stat, errmsg)
        call expect(AEROACT_OK, stat, errmsg, 'run')
        call check(close_to(real(y4, real64), n), backends(k)//': numbers')
        ! What is in the arrays at the time of the call counts, and only the columns asked for.
        x4(:, :n) = x4(:, n:1:-1)
        y4 = -1
        call model%run(workspace, stat, errmsg, ncol=(n + 1)/2)
        call expect(AEROACT_OK, stat, errmsg, 'run again')
        y4(:, :(n + 1)/2) = y4(:, (n + 1)/2:1:-1)
        call check(all(abs(y4(:, :(n + 1)/2) - expected(:, n - (n + 1)/2 + 1:n)) <= tolerance) &
          .and. all(nint(y4(:, (n + 1)/2 + 1:)) == -1), backends(k)//': some columns')
        x4(:, :n) = x4(:, n:1:-1)
      end do
    end do
    call workspace%free(stat, errmsg)
    call expect(AEROACT_OK, stat, errmsg, 'free')

  case ('workspace_r8')
    do k = 1, size(backends)
      call model%load(data_file('mlp.onnx'), stat, errmsg, backend=backends(k))
      call workspace%bind(model, x8, y8, stat, errmsg)
      call expect(AEROACT_OK, stat, errmsg, 'bind')
      do i = 1, size(batches)
        y8 = -1
        call model%run(workspace, stat, errmsg, ncol=batches(i))
        call expect(AEROACT_OK, stat, errmsg, 'run')
        call check(close_to(y8, batches(i)), backends(k)//': numbers')
        call check(all(nint(y8(:, batches(i) + 1:)) == -1), backends(k)//': other columns')
      end do
    end do

  case ('column')
    do k = 1, size(backends)
      call model%load(data_file('mlp.onnx'), stat, errmsg, backend=backends(k))
      call workspace%bind(model, x4(:, 7), y4(:, 7), stat, errmsg)
      call model%run(workspace, stat, errmsg)
      call expect(AEROACT_OK, stat, errmsg, 'real32')
      call check(all(abs(y4(:, 7) - expected(:, 7)) <= tolerance), 'real32')
      call workspace%bind(model, x8(:, 7), y8(:, 7), stat, errmsg)
      call model%run(workspace, stat, errmsg)
      call expect(AEROACT_OK, stat, errmsg, 'real64')
      call check(all(abs(y8(:, 7) - expected(:, 7)) <= tolerance), 'real64')
      y4 = -1
      y8 = -1
    end do

  case ('described')
    call model%load(data_file('mlp.onnx'), stat, errmsg, backend='native')
    call model%training_bounds(low, high, stat, errmsg)
    call expect(AEROACT_OK, stat, errmsg, 'bounds')
    call check(all(nint(low) == [(i, i=0, 15)]) .and. all(nint(high) == [(2500 + i, i=0, 15)]), &
      'bounds')
    text = description()
    call check(index(text, 'mlp.onnx') > 0, 'its file: '//text)
    call check(index(text, 'Hidden layers: 24 12') > 0, 'its layers: '//text)
    call check(index(text, 'num_aer_pcarbon  cm-3') > 0, 'its columns: '//text)
    call model%describe(99, stat, errmsg)
    call expect(AEROACT_INVALID_ARGUMENT, stat, errmsg, 'a unit that is not open', 'unit')
    call model%load(data_file('no_bounds.onnx'), stat, errmsg)
    call expect(AEROACT_OK, stat, errmsg, 'no bounds')
    call model%training_bounds(low, high, stat, errmsg)
    call expect(AEROACT_NO_METADATA, stat, errmsg, 'no bounds', 'training_bounds')
    call model%free()
    call model%describe(99, stat, errmsg)
    call expect(AEROACT_NOT_LOADED, stat, errmsg, 'nothing to describe')

  case ('folder')
    call model%load(data_file('bundle'), stat, errmsg)
    call expect(AEROACT_OK, stat, errmsg, 'a bundle''s folder')
    call predicts_as_expected(model, 'mlp', 7)
  end select

  call still_works()
  call finish()

contains

  logical function close_to(y, ncol)
    real(real64), intent(in) :: y(:, :)
    integer, intent(in) :: ncol

    close_to = all(abs(y(:, :ncol) - expected(:, :ncol)) <= tolerance)
  end function close_to

  !> Where each prediction of ONNX Runtime takes ten milliseconds, the native backend is chosen.
  subroutine slow_runtime()
    abstract interface
      subroutine slow_slot_i(slot, longer) bind(c)
        import :: c_int
        integer(c_int), value :: slot, longer
      end subroutine slow_slot_i
    end interface
    procedure(slow_slot_i), pointer :: slow_slot
    character(len=1024) :: path

    call get_environment_variable('AEROACT_FAILING_LIBRARY', path)
    call c_f_procpointer(dl_symbol(dl_open(path), 'slow_slot'), slow_slot)
    call slow_slot(9_c_int, 10_c_int)
    call aeroact_init(stat, errmsg, path)
    call expect(AEROACT_OK, stat, errmsg, 'init')
    call model%load(data_file('mlp.onnx'), stat, errmsg, backend='auto')
    call expect(AEROACT_OK, stat, errmsg, 'load')
    text = description()
    do i = 1, size(chosen_for) - 1  ! a thousand columns can take as long without optimization
      call check(index(text, chosen_for(i)//' or more: native') > 0, 'slow: '//text)
    end do
  end subroutine slow_runtime

  !> What the model says of itself, in one line.
  function description() result(text)
    character(len=:), allocatable :: text
    character(len=200) :: line
    integer :: error, unit

    text = ''
    open (newunit=unit, status='scratch', action='readwrite')
    call model%describe(unit, stat, errmsg)
    call expect(AEROACT_OK, stat, errmsg, 'describe')
    rewind (unit)
    do
      read (unit, '(a)', iostat=error) line
      if (error /= 0) exit
      text = text//trim(line)//';'
    end do
    close (unit)
  end function description

end program test_backends
