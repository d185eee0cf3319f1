!> An emulator loaded from an ONNX file, and its predictions.
module aeroact_models
  use, intrinsic :: ieee_exceptions, only: ieee_all, ieee_get_status, ieee_set_halting_mode, &
    ieee_set_status, ieee_status_type
  use, intrinsic :: iso_c_binding, only: c_associated, c_char, c_int, c_int64_t, c_loc, &
    c_null_char, c_null_ptr, c_ptr, c_size_t
  use, intrinsic :: iso_fortran_env, only: int32, real32, real64
  use aeroact_dl, only: c_string
  use aeroact_metadata, only: lookup_metadata
  use aeroact_ort, only: ORT_ENABLE_ALL, ORT_FLOAT32, ORT_SEQUENTIAL, ort_add_config_entry, &
    ort_check, ort_create_options, ort_create_session, ort_create_tensor, ort_disable_mem_pattern, &
    ort_release_options, ort_release_session, ort_release_tensor, ort_run, &
    ort_set_execution_mode, ort_set_inter_threads, ort_set_intra_threads, ort_set_optimization_level
  use aeroact_runtime, only: ort_env, ort_memory
  use aeroact_schema, only: AEROACT_NMODES, AEROACT_NSTATE, AEROACT_SCHEMA_VERSION
  use aeroact_sessions, only: find_session, keep_session, release_session, session_path
  use aeroact_signature, only: check_signature, input_name, output_name
  use aeroact_status, only: AEROACT_INVALID_ARGUMENT, AEROACT_MODEL_INVALID, &
    AEROACT_MODEL_NOT_FOUND, AEROACT_NO_MEMORY, AEROACT_NO_METADATA, AEROACT_NOT_FINITE, &
    AEROACT_NOT_INITIALIZED, AEROACT_NOT_LOADED, AEROACT_OK, AEROACT_RUNTIME_FAILED, &
    AEROACT_SCHEMA_VERSION_MISMATCH, AEROACT_SHAPE_MISMATCH, AEROACT_TOO_MANY_MODELS, fail, succeed
  implicit none
  private

  !> An emulator, once loaded.
  !!
  !! A model is a handle: a copy of it is the same emulator, and freeing one frees it for all.
  !! `load` and `free` belong to one thread at a time; `predict` may be called by many at once.
  type, public :: aeroact_model
    private
    integer :: number = 0
  contains
    procedure :: load
    generic :: predict => predict_r4, predict_r8, predict_column_r4, predict_column_r8
    procedure :: metadata
    procedure :: free
    procedure, private :: predict_r4, predict_r8, predict_column_r4, predict_column_r8
  end type aeroact_model

  ! The names as C strings, with an address to hand to ONNX Runtime.
  character(kind=c_char, len=*), parameter :: c_input = input_name//c_null_char
  character(kind=c_char, len=*), parameter :: c_output = output_name//c_null_char
  character(kind=c_char), target, save :: c_input_name(len(c_input)) = &
    transfer(c_input, c_null_char, len(c_input))
  character(kind=c_char), target, save :: c_output_name(len(c_output)) = &
    transfer(c_output, c_null_char, len(c_output))

contains

  !> Load a model from an ONNX file and check that it keeps the schema.
  !!
  !! What was loaded before is freed first. If anything fails, the model is not loaded.
  subroutine load(self, path, stat, errmsg, intra_threads)
    class(aeroact_model), intent(inout) :: self
    character(len=*), intent(in) :: path
      !! the bundle's `emulator.onnx`
    integer, intent(out) :: stat
      !! `AEROACT_OK`, or what went wrong
    character(len=*), intent(out), optional :: errmsg
      !! what went wrong, in a sentence
    integer, intent(in), optional :: intra_threads
      !! threads within one prediction; 1 unless given, as suits one MPI rank on one core

    type(ieee_status_type) :: caller
    integer :: threads
    logical :: exists

    call self%free()
    threads = 1
    if (present(intra_threads)) threads = intra_threads
    inquire (file=trim(path), exist=exists)

    if (.not. c_associated(ort_env)) then
      call fail(AEROACT_NOT_INITIALIZED, "'"//trim(path)//"' cannot be loaded before ONNX Runtime &
        &is open. Call aeroact_init first and check its status.", stat, errmsg)
    else if (threads < 1) then
      call fail(AEROACT_INVALID_ARGUMENT, "'"//trim(path)//"' is to be loaded with &
        &intra_threads < 1. Give 1 or more.", stat, errmsg)
    else if (.not. exists) then
      call fail(AEROACT_MODEL_NOT_FOUND, "There is no file '"//trim(path)//"'. Give the path of a &
        &bundle's emulator.onnx.", stat, errmsg)
    else
      ! Threads that a session starts inherit the traps of the thread that loads it.
      call ieee_get_status(caller)
      call ieee_set_halting_mode(ieee_all, .false.)
      call open_session(trim(path), threads, self%number, stat, errmsg)
      call ieee_set_status(caller)
    end if
  end subroutine load

  !> Predict `fn` for states in single precision, with no copy of contiguous arrays.
  subroutine predict_r4(self, x, y, stat, errmsg)
    class(aeroact_model), intent(in) :: self
    real(real32), intent(in), contiguous, target :: x(:, :)
      !! states (16, ncol) in the schema's order and units
    real(real32), intent(inout), contiguous, target :: y(:, :)
      !! activated fractions (4, ncol)
    integer, intent(out) :: stat
      !! `AEROACT_OK`, or what went wrong
    character(len=*), intent(out), optional :: errmsg
      !! what went wrong, in a sentence

    type(ieee_status_type) :: caller
    type(c_ptr) :: session

    call check_call(self, shape(x), shape(y), session, stat, errmsg)
    if (stat /= AEROACT_OK .or. size(x, 2) == 0) return

    ! Some operators raise IEEE flags on harmless states; a host model that traps them would die.
    call ieee_get_status(caller)
    call ieee_set_halting_mode(ieee_all, .false.)
    call run(session, session_path(self%number), x, y, stat, errmsg)
    call ieee_set_status(caller)
  end subroutine predict_r4

  !> Predict `fn` for states in double precision; the network computes in single precision.
  subroutine predict_r8(self, x, y, stat, errmsg)
    class(aeroact_model), intent(in) :: self
    real(real64), intent(in) :: x(:, :)
      !! states (16, ncol) in the schema's order and units
    real(real64), intent(inout) :: y(:, :)
      !! activated fractions (4, ncol)
    integer, intent(out) :: stat
      !! `AEROACT_OK`, or what went wrong
    character(len=*), intent(out), optional :: errmsg
      !! what went wrong, in a sentence

    type(ieee_status_type) :: caller
    real(real32), allocatable, target :: x4(:, :), y4(:, :)
    type(c_ptr) :: session
    integer :: refused

    call check_call(self, shape(x), shape(y), session, stat, errmsg)
    if (stat /= AEROACT_OK .or. size(x, 2) == 0) return

    allocate (x4(size(x, 1), size(x, 2)), y4(size(y, 1), size(y, 2)), stat=refused)
    if (refused /= 0) then
      call fail(AEROACT_NO_MEMORY, 'There is no memory for a single-precision copy of the states. &
        &Predict fewer columns at a time.', stat, errmsg)
      return
    end if

    ! As in predict_r4; the conversion to single precision can overflow, too.
    call ieee_get_status(caller)
    call ieee_set_halting_mode(ieee_all, .false.)
    x4 = real(x, real32)
    call run(session, session_path(self%number), x4, y4, stat, errmsg)
    if (stat == AEROACT_OK .or. stat == AEROACT_NOT_FINITE) y = real(y4, real64)
    call ieee_set_status(caller)
  end subroutine predict_r8

  !> Predict `fn` for one column in single precision.
  subroutine predict_column_r4(self, x, y, stat, errmsg)
    class(aeroact_model), intent(in) :: self
    real(real32), intent(in), contiguous, target :: x(:)
      !! one state (16) in the schema's order and units
    real(real32), intent(inout), contiguous, target :: y(:)
      !! activated fractions (4)
    integer, intent(out) :: stat
      !! `AEROACT_OK`, or what went wrong
    character(len=*), intent(out), optional :: errmsg
      !! what went wrong, in a sentence

    real(real32), pointer, contiguous :: x_column(:, :), y_column(:, :)

    x_column(1:size(x), 1:1) => x
    y_column(1:size(y), 1:1) => y
    call self%predict_r4(x_column, y_column, stat, errmsg)
  end subroutine predict_column_r4

  !> Predict `fn` for one column in double precision.
  subroutine predict_column_r8(self, x, y, stat, errmsg)
    class(aeroact_model), intent(in) :: self
    real(real64), intent(in), contiguous, target :: x(:)
      !! one state (16) in the schema's order and units
    real(real64), intent(inout), contiguous, target :: y(:)
      !! activated fractions (4)
    integer, intent(out) :: stat
      !! `AEROACT_OK`, or what went wrong
    character(len=*), intent(out), optional :: errmsg
      !! what went wrong, in a sentence

    real(real64), pointer, contiguous :: x_column(:, :), y_column(:, :)

    x_column(1:size(x), 1:1) => x
    y_column(1:size(y), 1:1) => y
    call self%predict_r8(x_column, y_column, stat, errmsg)
  end subroutine predict_column_r8

  !> Read one entry of the model's metadata: schema version, units, bounds, provenance.
  subroutine metadata(self, key, value, stat, errmsg)
    class(aeroact_model), intent(in) :: self
    character(len=*), intent(in) :: key
    character(len=:), allocatable, intent(out) :: value
      !! empty if there is no such key
    integer, intent(out) :: stat
      !! `AEROACT_OK`, or what went wrong
    character(len=*), intent(out), optional :: errmsg
      !! what went wrong, in a sentence

    type(c_ptr) :: session

    value = ''
    call check_loaded(self, session, stat, errmsg)
    if (stat /= AEROACT_OK) return
    call lookup_metadata(session, session_path(self%number), key, value, stat, errmsg)
  end subroutine metadata

  !> Release the model. Freeing a model that is not loaded does nothing.
  subroutine free(self, stat, errmsg)
    class(aeroact_model), intent(inout) :: self
    integer, intent(out), optional :: stat
      !! always `AEROACT_OK`: nothing in a release can fail
    character(len=*), intent(out), optional :: errmsg
      !! blank

    type(ieee_status_type) :: caller

    if (present(stat)) stat = AEROACT_OK
    if (present(errmsg)) errmsg = ''
    call ieee_get_status(caller)
    call ieee_set_halting_mode(ieee_all, .false.)
    call release_session(self%number)
    call ieee_set_status(caller)
    self%number = 0
  end subroutine free

  !> Create a session, check that the model keeps the schema, and only then keep the session.
  subroutine open_session(path, threads, number, stat, errmsg)
    character(len=*), intent(in) :: path
    integer, intent(in) :: threads
    integer, intent(out) :: number
      !! the session's number, or 0 if anything failed
    integer, intent(out) :: stat
    character(len=*), intent(out), optional :: errmsg

    type(c_ptr) :: options, session

    number = 0
    call create_options(threads, options, stat, errmsg)
    if (stat /= AEROACT_OK) return
    call ort_check(ort_create_session(ort_env, c_string(path), options, session), &
      AEROACT_MODEL_INVALID, "'"//path//"' cannot be opened as an ONNX model. Copy or export it &
      &again.", stat, errmsg)
    call ort_release_options(options)
    if (stat /= AEROACT_OK) return

    call check_signature(session, path, stat, errmsg)
    if (stat == AEROACT_OK) call check_schema_version(session, path, stat, errmsg)
    if (stat == AEROACT_OK) then
      call keep_session(session, path, number)
      if (number == 0) call fail(AEROACT_TOO_MANY_MODELS, "'"//path//"' is one model too many. &
        &Call free on those that are no longer needed.", stat, errmsg)
    end if
    if (stat /= AEROACT_OK) call ort_release_session(session)
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
    ! Such patterns are kept for every ncol ever seen, and ncol changes from call to call.
    if (stat == AEROACT_OK) call refuse(ort_disable_mem_pattern(options))
    if (stat /= AEROACT_OK) call ort_release_options(options)

  contains

    subroutine refuse(status)
      type(c_ptr), intent(in) :: status

      call ort_check(status, AEROACT_RUNTIME_FAILED, &
        'ONNX Runtime refuses an option of the session. Try another version of it.', stat, errmsg)
    end subroutine refuse

  end subroutine create_options

  !> A model must say which schema it was trained in: columns have no other names than this.
  subroutine check_schema_version(session, path, stat, errmsg)
    type(c_ptr), intent(in) :: session
    character(len=*), intent(in) :: path
    integer, intent(out) :: stat
    character(len=*), intent(out), optional :: errmsg

    character(len=:), allocatable :: version

    call lookup_metadata(session, path, 'schema_version', version, stat, errmsg)
    if (stat == AEROACT_NO_METADATA) then
      call fail(AEROACT_SCHEMA_VERSION_MISMATCH, "'"//path//"' states no schema_version in its &
        &metadata. Export the model with aeroact-export.", stat, errmsg)
    else if (stat == AEROACT_OK .and. version /= AEROACT_SCHEMA_VERSION) then
      call fail(AEROACT_SCHEMA_VERSION_MISMATCH, "'"//path//"' has schema version '"//version// &
        "', and this library speaks version '"//AEROACT_SCHEMA_VERSION//"'. Use a model and a &
        &library of one release.", stat, errmsg)
    end if
  end subroutine check_schema_version

  !> The model's session, if it is loaded.
  subroutine check_loaded(self, session, stat, errmsg)
    class(aeroact_model), intent(in) :: self
    type(c_ptr), intent(out) :: session
    integer, intent(out) :: stat
    character(len=*), intent(out), optional :: errmsg

    call succeed(stat, errmsg)
    session = find_session(self%number)
    if (.not. c_associated(session)) then
      call fail(AEROACT_NOT_LOADED, &
        'The model is not loaded. Call load on it first and check its status.', stat, errmsg)
    end if
  end subroutine check_loaded

  !> The model's session, if it is loaded and the arrays have the schema's shapes.
  subroutine check_call(self, x_shape, y_shape, session, stat, errmsg)
    class(aeroact_model), intent(in) :: self
    integer, intent(in) :: x_shape(2), y_shape(2)
    type(c_ptr), intent(out) :: session
    integer, intent(out) :: stat
    character(len=*), intent(out), optional :: errmsg

    character(len=200) :: shapes

    call check_loaded(self, session, stat, errmsg)
    if (stat /= AEROACT_OK) return
    if (x_shape(1) /= AEROACT_NSTATE .or. y_shape(1) /= AEROACT_NMODES &
      .or. x_shape(2) /= y_shape(2)) then
      write (shapes, '(6(a, i0), a)') 'The arrays are x(', x_shape(1), ', ', x_shape(2), &
        ') and y(', y_shape(1), ', ', y_shape(2), '); pass x(', AEROACT_NSTATE, ', ncol) and y(', &
        AEROACT_NMODES, ", ncol) to predict with '"
      call fail(AEROACT_SHAPE_MISMATCH, trim(shapes)//session_path(self%number)//"'.", stat, errmsg)
    end if
  end subroutine check_call

  !> Run the network on the caller's arrays: x(16, ncol) is its tensor [ncol, 16], y likewise.
  subroutine run(session, path, x, y, stat, errmsg)
    type(c_ptr), intent(in) :: session
    character(len=*), intent(in) :: path
    real(real32), intent(in), contiguous, target :: x(:, :)
    real(real32), intent(inout), contiguous, target :: y(:, :)
    integer, intent(out) :: stat
    character(len=*), intent(out), optional :: errmsg

    character(len=:), allocatable :: sentence
    type(c_ptr) :: input, output(1)

    sentence = "'"//path//"' failed to predict. Keep the scheme that it replaces."
    call wrap(c_loc(x), shape(x), input)
    if (stat /= AEROACT_OK) return
    call wrap(c_loc(y), shape(y), output(1))
    if (stat == AEROACT_OK) then
      call ort_check(ort_run(session, c_null_ptr, [c_loc(c_input_name)], [input], 1_c_size_t, &
        [c_loc(c_output_name)], 1_c_size_t, output), AEROACT_RUNTIME_FAILED, sentence, stat, errmsg)
      call ort_release_tensor(output(1))
    end if
    call ort_release_tensor(input)

    if (stat == AEROACT_OK .and. .not. all(is_finite(y))) then
      call fail(AEROACT_NOT_FINITE, "'"//path//"' predicted a NaN or an infinity. Check the &
        &states for values that are not finite, and use another scheme for these columns.", &
        stat, errmsg)
    end if

  contains

    subroutine wrap(data, extents, tensor)
      type(c_ptr), intent(in) :: data
      integer, intent(in) :: extents(2)
      type(c_ptr), intent(out) :: tensor

      integer(c_int64_t) :: tensor_shape(2)

      tensor_shape = extents(2:1:-1)
      call ort_check(ort_create_tensor(ort_memory, data, &
        int(4*product(tensor_shape), c_size_t), tensor_shape, 2_c_size_t, ORT_FLOAT32, tensor), &
        AEROACT_RUNTIME_FAILED, sentence, stat, errmsg)
    end subroutine wrap

  end subroutine run

  !> Whether a number is neither NaN nor infinite, read from its bits: a comparison could raise
  !! a flag, and -ffast-math assumes the answer.
  elemental function is_finite(number)
    real(real32), intent(in) :: number
    logical :: is_finite
    integer(int32), parameter :: exponent_bits = int(z'7F800000', int32)

    is_finite = iand(transfer(number, exponent_bits), exponent_bits) /= exponent_bits
  end function is_finite

end module aeroact_models
