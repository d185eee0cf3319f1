!> An emulator as its user has it: loaded, described, asked for predictions, freed.
module aeroact_models
  use, intrinsic :: iso_c_binding, only: c_associated, c_f_pointer, c_loc
  use, intrinsic :: iso_fortran_env, only: int64, int8, real32, real64
  use aeroact_description, only: describe_emulator, read_bounds
  use aeroact_emulators, only: emulator, find_emulator, keep_emulator, release_emulator
  use aeroact_evaluation, only: discard, evaluate, prepare, scratch
  use aeroact_files, only: aeroact_read_file
  use aeroact_loading, only: load_bytes, load_weights
  use aeroact_ort, only: ort_release_session
  use aeroact_schema, only: AEROACT_NMODES, AEROACT_NSTATE
  use aeroact_signature, only: find_entry
  use aeroact_status, only: AEROACT_NO_COLUMNS, AEROACT_NO_MEMORY, AEROACT_NO_METADATA, &
    AEROACT_NOT_BOUND, AEROACT_NOT_CONTIGUOUS, AEROACT_NOT_FINITE, AEROACT_NOT_LOADED, &
    AEROACT_OK, AEROACT_OUT_OF_RANGE, AEROACT_SHAPE_MISMATCH, AEROACT_STATE_NOT_FINITE, &
    AEROACT_TOO_MANY_MODELS, decimal, fail, succeed
  use aeroact_traps, only: environment, hold_traps, restore_traps
  implicit none
  private

  !> An emulator, once loaded.
  !!
  !! A model is a handle: a copy of it is the same emulator, and freeing one frees it for all.
  !! `load` and `free` belong to one thread at a time; `predict` and `run` may be called by many.
  type, public :: aeroact_model
    private
    integer(int64) :: number = 0
  contains
    generic :: load => load_file, load_content
    procedure :: describe
    procedure :: metadata
    procedure :: training_bounds
    generic :: predict => predict_r4, predict_r8, predict_column_r4, predict_column_r8
    procedure :: run
    procedure :: free => free_model
    procedure, private :: load_file, load_content
    procedure, private :: predict_r4, predict_r8, predict_column_r4, predict_column_r8
  end type aeroact_model

  !> What repeated predictions of one thread need, so that none of them allocates: the caller's
  !! arrays, which must stay where they are, and scratch. It is not to be copied.
  type, public :: aeroact_workspace
    private
    integer(int64) :: number = 0
    type(scratch) :: work
    real(real32), pointer, contiguous :: x4(:, :) => null(), y4(:, :) => null()
    real(real64), pointer, contiguous :: x8(:, :) => null(), y8(:, :) => null()
  contains
    generic :: bind => bind_r4, bind_r8, bind_column_r4, bind_column_r8
    procedure :: free => free_workspace
    procedure, private :: bind_r4, bind_r8, bind_column_r4, bind_column_r8
  end type aeroact_workspace

contains

  !> Load a model from a file and check that it keeps the schema.
  !!
  !! What was loaded before is freed first. If anything fails, the model is not loaded.
  subroutine load_file(self, path, stat, errmsg, intra_threads, backend)
    class(aeroact_model), intent(inout) :: self
    character(len=*), intent(in) :: path
      !! a bundle's folder, or its `emulator.onnx`; or its `weights.nc`, for which the library must
      !! have been built with netCDF-Fortran and the backend is not to be `ort`
    integer, intent(out) :: stat
      !! `AEROACT_OK`, or what went wrong
    character(len=*), intent(out), optional :: errmsg
      !! what went wrong, in a sentence
    integer, intent(in), optional :: intra_threads
      !! ONNX Runtime's threads within one prediction; 1 unless given, as suits one rank on a core
    character(len=*), intent(in), optional :: backend
      !! `ort`: ONNX Runtime (unless given); `native`: Fortran alone; `auto`: for each number of
      !! columns the faster one, as measured now, so that the last digits may differ between runs

    type(emulator) :: loaded
    integer(int8), allocatable :: bytes(:)
    character(len=:), allocatable :: file
    logical :: exists

    call self%free()
    file = trim(path)
    inquire (file=file//'/emulator.onnx', exist=exists)
    if (exists) file = file//'/emulator.onnx'
    call aeroact_read_file(file, bytes, stat, errmsg)
    if (stat /= AEROACT_OK) return
    if (index(file, '.nc', back=.true.) == len(file) - 2 .and. len(file) > 2) then
      call load_weights(file, backend_or_default(backend), loaded, stat, errmsg)
    else
      call load_bytes(bytes, file, threads_or_default(intra_threads), &
        backend_or_default(backend), loaded, stat, errmsg)
    end if
    if (stat == AEROACT_OK) call keep(self, loaded, stat, errmsg)
  end subroutine load_file

  !> Load a model from the content of an ONNX file: one MPI rank reads it, the others get bytes.
  subroutine load_content(self, bytes, stat, errmsg, intra_threads, backend)
    class(aeroact_model), intent(inout) :: self
    integer(int8), intent(in), contiguous, target :: bytes(:)
      !! as `aeroact_read_file` gives them; not needed afterwards
    integer, intent(out) :: stat
      !! `AEROACT_OK`, or what went wrong
    character(len=*), intent(out), optional :: errmsg
      !! what went wrong, in a sentence
    integer, intent(in), optional :: intra_threads
      !! as above
    character(len=*), intent(in), optional :: backend
      !! as above

    type(emulator) :: loaded

    call self%free()
    call load_bytes(bytes, 'the bytes', threads_or_default(intra_threads), &
      backend_or_default(backend), loaded, stat, errmsg)
    if (stat == AEROACT_OK) call keep(self, loaded, stat, errmsg)
  end subroutine load_content

  !> Write some lines about the emulator: its file, its backends, its states and their ranges.
  subroutine describe(self, unit, stat, errmsg)
    class(aeroact_model), intent(in) :: self
    integer, intent(in) :: unit
      !! open for formatted writing
    integer, intent(out) :: stat
      !! `AEROACT_OK`, or what went wrong
    character(len=*), intent(out), optional :: errmsg
      !! what went wrong, in a sentence

    type(emulator), pointer :: used

    call require_loaded(self%number, used, stat, errmsg)
    if (stat == AEROACT_OK) call describe_emulator(used, unit, stat, errmsg)
  end subroutine describe

  !> Read one entry of the model's metadata: schema version, units, bounds, provenance.
  subroutine metadata(self, key, value, stat, errmsg)
    class(aeroact_model), intent(in) :: self
    character(len=*), intent(in) :: key
      !! an entry's name, such as `schema_version`
    character(len=:), allocatable, intent(out) :: value
      !! empty if there is no such key
    integer, intent(out) :: stat
      !! `AEROACT_OK`, or what went wrong
    character(len=*), intent(out), optional :: errmsg
      !! what went wrong, in a sentence

    type(emulator), pointer :: used
    integer :: place

    value = ''
    call require_loaded(self%number, used, stat, errmsg)
    if (stat /= AEROACT_OK) return
    place = find_entry(used%metadata, trim(key))
    if (place > 0) then
      value = used%metadata(place)%value
    else
      call fail(AEROACT_NO_METADATA, "The metadata of '"//used%name//"' has no key '"//trim(key)// &
        "'. Check the spelling, or export the model again.", stat, errmsg)
    end if
  end subroutine metadata

  !> The lowest and the highest value that each column of the state had in the training.
  subroutine training_bounds(self, low, high, stat, errmsg)
    class(aeroact_model), intent(in) :: self
    real(real32), intent(out) :: low(AEROACT_NSTATE), high(AEROACT_NSTATE)
      !! in the schema's units; 0 if the model does not state them
    integer, intent(out) :: stat
      !! `AEROACT_OK`, or what went wrong
    character(len=*), intent(out), optional :: errmsg
      !! what went wrong, in a sentence

    type(emulator), pointer :: used

    low = 0
    high = 0
    call require_loaded(self%number, used, stat, errmsg)
    if (stat == AEROACT_OK) call read_bounds(used, low, high, stat, errmsg)
  end subroutine training_bounds

  !> Predict `fn` for states in single precision. Nothing is copied.
  recursive subroutine predict_r4(self, x, y, stat, errmsg, column_stat)
    class(aeroact_model), intent(in) :: self
    real(real32), intent(in), target :: x(:, :)
      !! states (16, ncol) in the schema's order and units, in one piece
    real(real32), intent(inout), target :: y(:, :)
      !! activated fractions (4, ncol), in one piece
    integer, intent(out) :: stat
      !! `AEROACT_OK`, or what went wrong
    character(len=*), intent(out), optional :: errmsg
      !! what went wrong, in a sentence
    integer, intent(out), optional :: column_stat(:)
      !! for each column `AEROACT_OK`, or why its `fn` is not to be used

    type(emulator), pointer :: used
    type(scratch) :: work
    real(real32), pointer, contiguous :: x4(:, :), y4(:, :)
    integer :: n

    n = size(x, 2)
    call require_call(self%number, shape(x), shape(y), is_contiguous(x) .and. is_contiguous(y), &
      used, stat, errmsg, column_stat)
    if (present(column_stat)) column_stat = stat
    if (stat /= AEROACT_OK) return
    call c_f_pointer(c_loc(x(1, 1)), x4, [AEROACT_NSTATE, n])
    call c_f_pointer(c_loc(y(1, 1)), y4, [AEROACT_NMODES, n])
    call evaluate(used, work, n, x4, y4, stat, errmsg, column_stat)
  end subroutine predict_r4

  !> Predict `fn` for states in double precision; the network computes in single precision.
  recursive subroutine predict_r8(self, x, y, stat, errmsg, column_stat)
    class(aeroact_model), intent(in) :: self
    real(real64), intent(in), target :: x(:, :)
      !! states (16, ncol) in the schema's order and units, in one piece
    real(real64), intent(inout), target :: y(:, :)
      !! activated fractions (4, ncol), in one piece
    integer, intent(out) :: stat
      !! `AEROACT_OK`, or what went wrong
    character(len=*), intent(out), optional :: errmsg
      !! what went wrong, in a sentence
    integer, intent(out), optional :: column_stat(:)
      !! for each column `AEROACT_OK`, or why its `fn` is not to be used

    type(emulator), pointer :: used
    type(scratch) :: work
    real(real32), allocatable :: x4(:, :), y4(:, :)
    integer :: n, refused

    n = size(x, 2)
    call require_call(self%number, shape(x), shape(y), is_contiguous(x) .and. is_contiguous(y), &
      used, stat, errmsg, column_stat)
    if (present(column_stat)) column_stat = stat
    if (stat /= AEROACT_OK) return
    allocate (x4(AEROACT_NSTATE, n), y4(AEROACT_NMODES, n), stat=refused)
    if (refused == 0) then
      call evaluate_r8(used, work, n, x, y, x4, y4, stat, errmsg, column_stat)
    else
      call fail_memory(stat, errmsg)
      if (present(column_stat)) column_stat = stat
    end if
  end subroutine predict_r8

  !> Predict `fn` for one column in single precision.
  recursive subroutine predict_column_r4(self, x, y, stat, errmsg)
    class(aeroact_model), intent(in) :: self
    real(real32), intent(in), target :: x(:)
      !! one state (16) in the schema's order and units, in one piece
    real(real32), intent(inout), target :: y(:)
      !! activated fractions (4), in one piece
    integer, intent(out) :: stat
      !! `AEROACT_OK`, or what went wrong
    character(len=*), intent(out), optional :: errmsg
      !! what went wrong, in a sentence

    real(real32), pointer :: x_column(:, :), y_column(:, :)

    x_column(1:size(x), 1:1) => x
    y_column(1:size(y), 1:1) => y
    call self%predict_r4(x_column, y_column, stat, errmsg)
  end subroutine predict_column_r4

  !> Predict `fn` for one column in double precision.
  recursive subroutine predict_column_r8(self, x, y, stat, errmsg)
    class(aeroact_model), intent(in) :: self
    real(real64), intent(in), target :: x(:)
      !! one state (16) in the schema's order and units, in one piece
    real(real64), intent(inout), target :: y(:)
      !! activated fractions (4), in one piece
    integer, intent(out) :: stat
      !! `AEROACT_OK`, or what went wrong
    character(len=*), intent(out), optional :: errmsg
      !! what went wrong, in a sentence

    real(real64), pointer :: x_column(:, :), y_column(:, :)

    x_column(1:size(x), 1:1) => x
    y_column(1:size(y), 1:1) => y
    call self%predict_r8(x_column, y_column, stat, errmsg)
  end subroutine predict_column_r8

  !> Predict `fn` for the states to which a workspace is bound. No memory is allocated.
  recursive subroutine run(self, workspace, stat, errmsg, column_stat, ncol)
    class(aeroact_model), intent(in) :: self
    type(aeroact_workspace), intent(inout) :: workspace
      !! of this thread
    integer, intent(out) :: stat
      !! `AEROACT_OK`, or what went wrong
    character(len=*), intent(out), optional :: errmsg
      !! what went wrong, in a sentence
    integer, intent(out), optional :: column_stat(:)
      !! for each column `AEROACT_OK`, or why its `fn` is not to be used
    integer, intent(in), optional :: ncol
      !! how many of the columns to predict, the first ones; all unless given

    type(emulator), pointer :: used
    integer :: n

    call require_bound()
    if (present(column_stat)) column_stat = stat
    if (stat /= AEROACT_OK) return
    if (associated(workspace%x8)) then
      call evaluate_r8(used, workspace%work, n, workspace%x8, workspace%y8, workspace%x4, &
        workspace%y4, stat, errmsg, column_stat)
    else
      call evaluate(used, workspace%work, n, workspace%x4, workspace%y4, stat, errmsg, column_stat)
    end if

  contains

    recursive subroutine require_bound()
      call require_loaded(self%number, used, stat, errmsg)
      if (stat /= AEROACT_OK) return
      if (workspace%number /= self%number) then
        call fail(AEROACT_NOT_BOUND, "The workspace is not bound for '"//used%name//"'. Call bind &
          &on it first and check its status.", stat, errmsg)
        return
      end if
      n = size(workspace%x4, 2)
      if (present(ncol)) n = ncol
      call require_columns(used%name, [AEROACT_NSTATE, n], [AEROACT_NMODES, n], stat, errmsg, &
        column_stat, size(workspace%x4, 2))
    end subroutine require_bound

  end subroutine run

  !> Release the model. Freeing a model that is not loaded does nothing.
  subroutine free_model(self, stat, errmsg)
    class(aeroact_model), intent(inout) :: self
    integer, intent(out), optional :: stat
      !! always `AEROACT_OK`: nothing in a release can fail
    character(len=*), intent(out), optional :: errmsg
      !! blank

    type(environment) :: caller

    if (present(stat)) stat = AEROACT_OK
    if (present(errmsg)) errmsg = ''
    call hold_traps(caller)
    call release_emulator(self%number)
    call restore_traps(caller)
    self%number = 0
  end subroutine free_model

  !> Bind a workspace to a model and to arrays in single precision.
  recursive subroutine bind_r4(self, model, x, y, stat, errmsg)
    class(aeroact_workspace), intent(inout) :: self
    type(aeroact_model), intent(in) :: model
      !! the loaded emulator that is to be run
    real(real32), intent(in), target :: x(:, :)
      !! states (16, ncol), in one piece; the actual argument is a TARGET and stays where it is
    real(real32), intent(inout), target :: y(:, :)
      !! activated fractions (4, ncol), likewise
    integer, intent(out) :: stat
      !! `AEROACT_OK`, or what went wrong
    character(len=*), intent(out), optional :: errmsg
      !! what went wrong, in a sentence

    type(emulator), pointer :: used

    call self%free()
    call require_call(model%number, shape(x), shape(y), is_contiguous(x) .and. is_contiguous(y), &
      used, stat, errmsg)
    if (stat /= AEROACT_OK) return
    call c_f_pointer(c_loc(x(1, 1)), self%x4, shape(x))
    call c_f_pointer(c_loc(y(1, 1)), self%y4, shape(y))
    call finish_binding(self, model, used, stat, errmsg)
  end subroutine bind_r4

  !> Bind a workspace to a model and to arrays in double precision.
  recursive subroutine bind_r8(self, model, x, y, stat, errmsg)
    class(aeroact_workspace), intent(inout) :: self
    type(aeroact_model), intent(in) :: model
      !! the loaded emulator that is to be run
    real(real64), intent(in), target :: x(:, :)
      !! states (16, ncol), in one piece; the actual argument is a TARGET and stays where it is
    real(real64), intent(inout), target :: y(:, :)
      !! activated fractions (4, ncol), likewise
    integer, intent(out) :: stat
      !! `AEROACT_OK`, or what went wrong
    character(len=*), intent(out), optional :: errmsg
      !! what went wrong, in a sentence

    type(emulator), pointer :: used
    integer :: refused

    call self%free()
    call require_call(model%number, shape(x), shape(y), is_contiguous(x) .and. is_contiguous(y), &
      used, stat, errmsg)
    if (stat /= AEROACT_OK) return
    allocate (self%x4(AEROACT_NSTATE, size(x, 2)), stat=refused)
    if (refused == 0) then
      allocate (self%y4(AEROACT_NMODES, size(y, 2)), stat=refused)
      if (refused /= 0) deallocate (self%x4)
    end if
    if (refused /= 0) then
      call fail_memory(stat, errmsg)
      return
    end if
    self%x4 = 0
    self%y4 = 0
    call c_f_pointer(c_loc(x(1, 1)), self%x8, shape(x))
    call c_f_pointer(c_loc(y(1, 1)), self%y8, shape(y))
    call finish_binding(self, model, used, stat, errmsg)
  end subroutine bind_r8

  !> Bind a workspace to a model and to one column in single precision.
  recursive subroutine bind_column_r4(self, model, x, y, stat, errmsg)
    class(aeroact_workspace), intent(inout) :: self
    type(aeroact_model), intent(in) :: model
      !! the loaded emulator that is to be run
    real(real32), intent(in), target :: x(:)
      !! one state (16), in one piece; the actual argument is a TARGET and stays where it is
    real(real32), intent(inout), target :: y(:)
      !! activated fractions (4), likewise
    integer, intent(out) :: stat
      !! `AEROACT_OK`, or what went wrong
    character(len=*), intent(out), optional :: errmsg
      !! what went wrong, in a sentence

    real(real32), pointer :: x_column(:, :), y_column(:, :)

    x_column(1:size(x), 1:1) => x
    y_column(1:size(y), 1:1) => y
    call self%bind_r4(model, x_column, y_column, stat, errmsg)
  end subroutine bind_column_r4

  !> Bind a workspace to a model and to one column in double precision.
  recursive subroutine bind_column_r8(self, model, x, y, stat, errmsg)
    class(aeroact_workspace), intent(inout) :: self
    type(aeroact_model), intent(in) :: model
      !! the loaded emulator that is to be run
    real(real64), intent(in), target :: x(:)
      !! one state (16), in one piece; the actual argument is a TARGET and stays where it is
    real(real64), intent(inout), target :: y(:)
      !! activated fractions (4), likewise
    integer, intent(out) :: stat
      !! `AEROACT_OK`, or what went wrong
    character(len=*), intent(out), optional :: errmsg
      !! what went wrong, in a sentence

    real(real64), pointer :: x_column(:, :), y_column(:, :)

    x_column(1:size(x), 1:1) => x
    y_column(1:size(y), 1:1) => y
    call self%bind_r8(model, x_column, y_column, stat, errmsg)
  end subroutine bind_column_r8

  !> Let go of the arrays and of the scratch. Freeing a workspace that is not bound does nothing.
  recursive subroutine free_workspace(self, stat, errmsg)
    class(aeroact_workspace), intent(inout) :: self
    integer, intent(out), optional :: stat
      !! always `AEROACT_OK`: nothing in a release can fail
    character(len=*), intent(out), optional :: errmsg
      !! blank

    type(environment) :: caller

    if (present(stat)) stat = AEROACT_OK
    if (present(errmsg)) errmsg = ''
    call hold_traps(caller)
    call discard(self%work)
    call restore_traps(caller)
    ! Only for a caller with double precision are the single-precision arrays ours.
    if (associated(self%x8)) deallocate (self%x4, self%y4)
    nullify (self%x4, self%y4, self%x8, self%y8)
    self%number = 0
  end subroutine free_workspace

  !> Prepare the scratch for the arrays, and only then call the workspace bound.
  recursive subroutine finish_binding(self, model, used, stat, errmsg)
    class(aeroact_workspace), intent(inout) :: self
    type(aeroact_model), intent(in) :: model
    type(emulator), intent(in) :: used
    integer, intent(out) :: stat
    character(len=*), intent(out), optional :: errmsg

    call prepare(used, self%work, size(self%x4, 2), self%x4, self%y4, stat, errmsg)
    if (stat == AEROACT_OK) then
      self%number = model%number
    else
      call self%free()
    end if
  end subroutine finish_binding

  !> Enter an emulator under the model's handle.
  subroutine keep(self, loaded, stat, errmsg)
    class(aeroact_model), intent(inout) :: self
    type(emulator), intent(in) :: loaded
    integer, intent(out) :: stat
    character(len=*), intent(out), optional :: errmsg

    call succeed(stat, errmsg)
    call keep_emulator(loaded, self%number)
    if (self%number /= 0) return
    if (c_associated(loaded%session)) call ort_release_session(loaded%session)
    call fail(AEROACT_TOO_MANY_MODELS, "'"//loaded%name//"' is one model too many. Call free on &
      &those that are no longer needed.", stat, errmsg)
  end subroutine keep

  !> Predict by way of single precision.
  recursive subroutine evaluate_r8(used, work, ncol, x, y, x4, y4, stat, errmsg, column_stat)
    type(emulator), intent(in) :: used
    type(scratch), intent(inout) :: work
    integer, intent(in) :: ncol
    real(real64), intent(in) :: x(AEROACT_NSTATE, ncol)
    real(real64), intent(inout) :: y(AEROACT_NMODES, ncol)
    real(real32), intent(inout) :: x4(AEROACT_NSTATE, ncol), y4(AEROACT_NMODES, ncol)
    integer, intent(out) :: stat
    character(len=*), intent(out), optional :: errmsg
    integer, intent(out), optional :: column_stat(:)

    type(environment) :: caller

    ! What is finite in double precision can overflow in single.
    call hold_traps(caller)
    x4 = real(x, real32)
    call evaluate(used, work, ncol, x4, y4, stat, errmsg, column_stat)
    select case (stat)
    case (AEROACT_OK, AEROACT_STATE_NOT_FINITE, AEROACT_NOT_FINITE, AEROACT_OUT_OF_RANGE)
      y = real(y4, real64)
    end select
    call restore_traps(caller)
  end subroutine evaluate_r8

  !> The emulator of a handle, if there is one.
  recursive subroutine require_loaded(number, used, stat, errmsg)
    integer(int64), intent(in) :: number
    type(emulator), pointer, intent(out) :: used
    integer, intent(out) :: stat
    character(len=*), intent(out), optional :: errmsg

    used => find_emulator(number)
    if (associated(used)) then
      call succeed(stat, errmsg)
    else
      call fail(AEROACT_NOT_LOADED, &
        'The model is not loaded. Call load on it first and check its status.', stat, errmsg)
    end if
  end subroutine require_loaded

  !> The emulator of a handle, if there is one and the arrays are such as it takes.
  recursive subroutine require_call(number, x_shape, y_shape, one_piece, used, stat, errmsg, &
    column_stat)
    integer(int64), intent(in) :: number
    integer, intent(in) :: x_shape(2), y_shape(2)
    logical, intent(in) :: one_piece
    type(emulator), pointer, intent(out) :: used
    integer, intent(out) :: stat
    character(len=*), intent(out), optional :: errmsg
    integer, intent(in), optional :: column_stat(:)

    call require_loaded(number, used, stat, errmsg)
    if (stat /= AEROACT_OK) return
    call require_columns(used%name, x_shape, y_shape, stat, errmsg, column_stat, x_shape(2))
    if (stat /= AEROACT_OK .or. one_piece) return
    call fail(AEROACT_NOT_CONTIGUOUS, "The arrays for '"//used%name//"' do not lie in one piece: &
      &pass whole arrays or x(:, first:last), or copy the columns together first.", stat, errmsg)
  end subroutine require_call

  !> The arrays have the schema's shapes, and there are columns, but no more than are bound.
  recursive subroutine require_columns(name, x_shape, y_shape, stat, errmsg, column_stat, most)
    character(len=*), intent(in) :: name
    integer, intent(in) :: x_shape(2), y_shape(2)
    integer, intent(out) :: stat
    character(len=*), intent(out), optional :: errmsg
    integer, intent(in), optional :: column_stat(:)
    integer, intent(in) :: most

    call succeed(stat, errmsg)
    if (x_shape(1) /= AEROACT_NSTATE .or. y_shape(1) /= AEROACT_NMODES &
      .or. x_shape(2) /= y_shape(2)) then
      call fail(AEROACT_SHAPE_MISMATCH, 'The arrays are x('//decimal(x_shape(1))//', '// &
        decimal(x_shape(2))//') and y('//decimal(y_shape(1))//', '//decimal(y_shape(2))// &
        "); pass x(16, ncol) and y(4, ncol) to '"//name//"'.", stat, errmsg)
    else if (x_shape(2) == 0) then
      call fail(AEROACT_NO_COLUMNS, "There is no column to predict with '"//name//"'. Leave the &
        &call out where ncol is 0.", stat, errmsg)
    else if (x_shape(2) < 0 .or. x_shape(2) > most) then
      call fail(AEROACT_SHAPE_MISMATCH, 'ncol is '//decimal(x_shape(2))//', but the workspace is &
        &bound to '//decimal(most)//" columns for '"//name//"'. Bind it to larger arrays.", &
        stat, errmsg)
    else if (present(column_stat)) then
      if (size(column_stat) < x_shape(2)) then
        call fail(AEROACT_SHAPE_MISMATCH, 'column_stat has '//decimal(size(column_stat))// &
          ' elements; pass '//decimal(x_shape(2))//", one for each column, to '"//name//"'.", &
          stat, errmsg)
      end if
    end if
  end subroutine require_columns

  !> There is no memory for a copy in single precision.
  recursive subroutine fail_memory(stat, errmsg)
    integer, intent(out) :: stat
    character(len=*), intent(out), optional :: errmsg

    call fail(AEROACT_NO_MEMORY, 'There is no memory for a single-precision copy of the states. &
      &Predict fewer columns at a time.', stat, errmsg)
  end subroutine fail_memory

  pure function threads_or_default(intra_threads) result(threads)
    integer, intent(in), optional :: intra_threads
    integer :: threads

    threads = 1
    if (present(intra_threads)) threads = intra_threads
  end function threads_or_default

  pure function backend_or_default(backend) result(chosen)
    character(len=*), intent(in), optional :: backend
    character(len=:), allocatable :: chosen

    chosen = 'ort'
    if (present(backend)) chosen = trim(backend)
  end function backend_or_default

end module aeroact_models
