!> From a file or its bytes to an emulator that is ready to predict.
module aeroact_loading
  use, intrinsic :: iso_c_binding, only: c_associated, c_int, c_loc, c_ptr, c_size_t
  use, intrinsic :: iso_fortran_env, only: int64, int8, real32
  use aeroact_dl, only: c_string
  use aeroact_emulators, only: BATCHES, emulator
  use aeroact_evaluation, only: discard, evaluate, scratch
  use aeroact_graph, only: read_network
  use aeroact_onnx, only: onnx_file, read_onnx
  use aeroact_ort, only: ORT_ENABLE_ALL, ORT_SEQUENTIAL, ort_add_config_entry, ort_check, &
    ort_create_options, ort_create_session, ort_release_options, ort_set_execution_mode, &
    ort_set_inter_threads, ort_set_intra_threads, ort_set_optimization_level
  use aeroact_runtime, only: ort_env
  use aeroact_schema, only: AEROACT_NMODES, AEROACT_NSTATE
  use aeroact_signature, only: check_schema, check_signature
  use aeroact_status, only: AEROACT_INVALID_ARGUMENT, AEROACT_MODEL_INVALID, &
    AEROACT_NOT_INITIALIZED, AEROACT_NOT_NATIVE, AEROACT_OK, AEROACT_RUNTIME_FAILED, fail, succeed
  use aeroact_traps, only: environment, hold_traps, restore_traps
  use aeroact_weights, only: read_weights
  implicit none
  private

  public :: load_bytes, load_weights

contains

  !> Make an emulator of the content of an ONNX file, once all of it has been checked.
  subroutine load_bytes(bytes, name, threads, backend, loaded, stat, errmsg)
    integer(int8), intent(in), contiguous, target :: bytes(:)
    character(len=*), intent(in) :: name
      !! the file, for sentences
    integer, intent(in) :: threads
    character(len=*), intent(in) :: backend
      !! ort, native or auto
    type(emulator), intent(out) :: loaded
      !! not to be used if `stat` is not `AEROACT_OK`
    integer, intent(out) :: stat
    character(len=*), intent(out), optional :: errmsg

    type(environment) :: caller
    type(onnx_file) :: file
    logical :: sound

    loaded%name = name
    call require_backend(backend, name, stat, errmsg)
    if (stat /= AEROACT_OK) return
    if (threads < 1) then
      call fail(AEROACT_INVALID_ARGUMENT, "'"//name//"' is to be loaded with intra_threads < 1. &
        &Give 1 or more.", stat, errmsg)
      return
    else if (backend == 'ort' .and. .not. c_associated(ort_env)) then
      call fail(AEROACT_NOT_INITIALIZED, "'"//name//"' cannot be loaded before ONNX Runtime is &
        &open. Call aeroact_init first and check its status, or load with backend 'native'.", &
        stat, errmsg)
      return
    end if

    call read_onnx(bytes, file, sound)
    if (.not. sound) then
      call fail(AEROACT_MODEL_INVALID, "'"//name//"' is not an ONNX model, or not a whole one. &
        &Copy or export it again.", stat, errmsg)
      return
    end if
    call check_signature(file, name, stat, errmsg)
    if (stat == AEROACT_OK) call check_schema(file%metadata, name, stat, errmsg)
    if (stat /= AEROACT_OK) return
    loaded%metadata = file%metadata

    if (backend /= 'ort') then
      call read_network(bytes, file, name, loaded%network, stat, errmsg)
      if (stat == AEROACT_OK) loaded%native = .true.
      ! What the native backend cannot evaluate is ONNX Runtime's, if it is there.
      if (stat == AEROACT_NOT_NATIVE .and. backend == 'auto' .and. c_associated(ort_env)) &
        call succeed(stat, errmsg)
      if (stat /= AEROACT_OK) return
    end if
    if (backend == 'native' .or. .not. c_associated(ort_env)) return

    ! Threads that a session starts inherit the traps of the thread that loads it.
    call hold_traps(caller)
    call open_session(bytes, name, threads, loaded%session, stat, errmsg)
    if (stat == AEROACT_OK .and. loaded%native(1)) call choose(loaded)
    call restore_traps(caller)
  end subroutine load_bytes

  !> Make an emulator of a bundle's `weights.nc`.
  subroutine load_weights(path, backend, loaded, stat, errmsg)
    character(len=*), intent(in) :: path, backend
    type(emulator), intent(out) :: loaded
      !! not to be used if `stat` is not `AEROACT_OK`
    integer, intent(out) :: stat
    character(len=*), intent(out), optional :: errmsg

    type(environment) :: caller

    call require_backend(backend, path, stat, errmsg)
    if (stat /= AEROACT_OK) return
    if (backend == 'ort') then
      call fail(AEROACT_INVALID_ARGUMENT, "'"//path//"' is not for ONNX Runtime. Load it with &
        &backend 'native', or load the emulator.onnx beside it.", stat, errmsg)
      return
    end if
    call hold_traps(caller)
    call read_weights(path, loaded, stat, errmsg)
    call restore_traps(caller)
    if (stat == AEROACT_OK) call check_schema(loaded%metadata, path, stat, errmsg)
    loaded%native = stat == AEROACT_OK
  end subroutine load_weights

  !> See that there is such a backend.
  subroutine require_backend(backend, name, stat, errmsg)
    character(len=*), intent(in) :: backend, name
    integer, intent(out) :: stat
    character(len=*), intent(out), optional :: errmsg

    call succeed(stat, errmsg)
    if (all(backend /= [character(len=6) :: 'ort', 'native', 'auto'])) &
      call fail(AEROACT_INVALID_ARGUMENT, "'"//name//"' is to be loaded with backend '"//backend// &
      "'. There are 'ort', 'native' and 'auto'.", stat, errmsg)
  end subroutine require_backend

  !> Have ONNX Runtime make a session of the model.
  subroutine open_session(bytes, name, threads, session, stat, errmsg)
    integer(int8), intent(in), contiguous, target :: bytes(:)
    character(len=*), intent(in) :: name
    integer, intent(in) :: threads
    type(c_ptr), intent(inout) :: session
    integer, intent(out) :: stat
    character(len=*), intent(out), optional :: errmsg

    type(c_ptr) :: options, opened

    call create_options(threads, options, stat, errmsg)
    if (stat /= AEROACT_OK) return
    call ort_check(ort_create_session(ort_env, c_loc(bytes), size(bytes, kind=c_size_t), options, &
      opened), AEROACT_MODEL_INVALID, "'"//name//"' cannot be opened by ONNX Runtime. Copy or &
      &export it again.", stat, errmsg)
    call ort_release_options(options)
    if (stat == AEROACT_OK) session = opened
  end subroutine open_session

  !> Session options that suit a rank of a climate model: no hidden threads, no spinning.
  subroutine create_options(threads, options, stat, errmsg)
    integer, intent(in) :: threads
    type(c_ptr), intent(out) :: options
    integer, intent(out) :: stat
    character(len=*), intent(out), optional :: errmsg

    call refuse(ort_create_options(options))
    if (stat /= AEROACT_OK) return
    call refuse(ort_set_execution_mode(options, ORT_SEQUENTIAL))
    if (stat == AEROACT_OK) call refuse(ort_set_optimization_level(options, ORT_ENABLE_ALL))
    if (stat == AEROACT_OK) call refuse(ort_set_intra_threads(options, int(threads, c_int)))
    if (stat == AEROACT_OK) call refuse(ort_set_inter_threads(options, 1_c_int))
    if (stat == AEROACT_OK) call refuse(ort_add_config_entry(options, &
      c_string('session.intra_op.allow_spinning'), c_string('0')))
    if (stat /= AEROACT_OK) call ort_release_options(options)

  contains

    subroutine refuse(status)
      type(c_ptr), intent(in) :: status

      call ort_check(status, AEROACT_RUNTIME_FAILED, &
        'ONNX Runtime refuses an option of the session. Try another version of it.', stat, errmsg)
    end subroutine refuse

  end subroutine create_options

  !> Measure, for each number of columns, which backend is faster here.
  subroutine choose(loaded)
    type(emulator), intent(inout) :: loaded

    type(scratch) :: work
    real(real32), allocatable, target :: x(:, :), y(:, :)
    integer(int64) :: times(2)
    integer :: backend, i, turn

    allocate (x(AEROACT_NSTATE, maxval(BATCHES)), y(AEROACT_NMODES, maxval(BATCHES)))
    x = 1  ! the time does not depend on the state
    do i = 1, size(BATCHES)
      times = huge(times)
      do turn = 1, 4  ! the first one fills caches
        do backend = 1, 2
          loaded%native(i) = backend == 1
          times(backend) = min(times(backend), time_of(BATCHES(i)))
        end do
      end do
      loaded%native(i) = times(1) <= times(2)
    end do
    call discard(work)

  contains

    !> Clock ticks that as many evaluations take as fit into some ten microseconds.
    integer(int64) function time_of(ncol)
      integer, intent(in) :: ncol

      integer(int64) :: start, finish
      integer :: call_number, ignored

      call system_clock(start)
      do call_number = 1, max(1, 32/ncol)
        call evaluate(loaded, work, ncol, x(:, :ncol), y(:, :ncol), ignored)
      end do
      call system_clock(finish)
      time_of = finish - start
    end function time_of

  end subroutine choose

end module aeroact_loading
