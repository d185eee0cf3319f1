!> ONNX Runtime in this process: found, opened, started, and in the end let go.
module aeroact_runtime
  use, intrinsic :: iso_c_binding, only: c_associated, c_funptr, c_null_ptr, c_ptr
  use aeroact_dl, only: c_string, dl_close, dl_error, dl_open, dl_symbol
  use aeroact_emulators, only: release_all_emulators
  use aeroact_ort, only: ORT_DEVICE_ALLOCATOR, ORT_LOG_FATAL, ORT_MEMORY_DEFAULT, ort_bind, &
    ort_check, ort_create_cpu_memory_info, ort_create_env, ort_release_env, &
    ort_release_memory_info
  use aeroact_status, only: AEROACT_LIBRARY_INVALID, AEROACT_LIBRARY_NOT_FOUND, &
    AEROACT_LIBRARY_TOO_OLD, AEROACT_OK, AEROACT_RUNTIME_FAILED, fail, succeed
  use aeroact_traps, only: environment, hold_traps, restore_traps
  implicit none
  private

  public :: aeroact_init, aeroact_finalize

  type(c_ptr), public, protected, save :: ort_env = c_null_ptr
    !! ONNX Runtime's environment; null until `aeroact_init` has succeeded
  type(c_ptr), public, protected, save :: ort_memory = c_null_ptr
    !! says that tensors lie in ordinary memory

  character(len=*), parameter :: library_variable = 'AEROACT_ORT_LIB'
  character(len=*), parameter :: how_to_find = &
    ' Give its full path as libpath or in the environment variable '//library_variable//'.'

contains

  !> Open ONNX Runtime and start it. Called again, it does nothing.
  !!
  !! The library is `libpath`, or else what `$AEROACT_ORT_LIB` names, or else the
  !! `libonnxruntime.so` or `libonnxruntime.so.1` that the loader finds.
  subroutine aeroact_init(stat, errmsg, libpath)
    integer, intent(out) :: stat
      !! `AEROACT_OK`, or what went wrong
    character(len=*), intent(out), optional :: errmsg
      !! what went wrong, in a sentence
    character(len=*), intent(in), optional :: libpath
      !! ONNX Runtime's shared library

    type(environment) :: caller

    call succeed(stat, errmsg)
    if (c_associated(ort_env)) return

    ! A library's start-up code must meet neither the host model's traps nor leave flags to it.
    call hold_traps(caller)
    if (present(libpath)) then
      call open_library(libpath, stat, errmsg)
    else
      call find_library(stat, errmsg)
    end if
    if (stat == AEROACT_OK) call start(stat, errmsg)
    call restore_traps(caller)
  end subroutine aeroact_init

  !> Let go of ONNX Runtime and of every model that is still loaded.
  subroutine aeroact_finalize(stat, errmsg)
    integer, intent(out), optional :: stat
      !! always `AEROACT_OK`: nothing in a release can fail
    character(len=*), intent(out), optional :: errmsg
      !! blank

    type(environment) :: caller

    if (present(stat)) stat = AEROACT_OK
    if (present(errmsg)) errmsg = ''
    call hold_traps(caller)
    call release_all_emulators()
    call stop_runtime()
    call restore_traps(caller)
  end subroutine aeroact_finalize

  !> Open the library that the environment names or that the loader knows.
  subroutine find_library(stat, errmsg)
    integer, intent(out) :: stat
    character(len=*), intent(out), optional :: errmsg

    character(len=*), parameter :: names(2) = [character(len=20) :: &
      'libonnxruntime.so', 'libonnxruntime.so.1']
    character(len=:), allocatable :: path
    integer :: i, length

    call get_environment_variable(library_variable, length=length)
    if (length > 0) then
      allocate (character(len=length) :: path)
      call get_environment_variable(library_variable, path)
      call open_library(path, stat, errmsg)
      return
    end if

    do i = 1, size(names)
      call open_library(names(i), stat, errmsg)
      if (stat /= AEROACT_LIBRARY_NOT_FOUND) return
    end do
    call fail(AEROACT_LIBRARY_NOT_FOUND, &
      'ONNX Runtime (libonnxruntime.so) is not on the loader''s path.'//how_to_find, stat, errmsg)
  end subroutine find_library

  !> Open one library and read its table of functions.
  subroutine open_library(path, stat, errmsg)
    character(len=*), intent(in) :: path
    integer, intent(out) :: stat
    character(len=*), intent(out), optional :: errmsg

    type(c_ptr) :: library
    type(c_funptr) :: entry_point
    character(len=:), allocatable :: reason, version
    logical :: exists, supported

    library = dl_open(path)
    if (.not. c_associated(library)) then
      reason = dl_error()
      inquire (file=trim(path), exist=exists)
      if (exists) then
        call fail(AEROACT_LIBRARY_INVALID, "'"//trim(path)//"' cannot be loaded as ONNX Runtime's &
          &library."//how_to_find//' The loader says: '//reason, stat, errmsg)
      else
        call fail(AEROACT_LIBRARY_NOT_FOUND, "ONNX Runtime's library '"//trim(path)//"' was not &
          &found."//how_to_find//' The loader says: '//reason, stat, errmsg)
      end if
      return
    end if

    entry_point = dl_symbol(library, 'OrtGetApiBase')
    if (.not. c_associated(entry_point)) then
      call dl_close(library)
      call fail(AEROACT_LIBRARY_INVALID, "'"//trim(path)//"' is a shared library, but not ONNX &
        &Runtime's."//how_to_find, stat, errmsg)
      return
    end if

    call ort_bind(entry_point, supported, version)
    if (.not. supported) then
      call dl_close(library)
      call fail(AEROACT_LIBRARY_TOO_OLD, "'"//trim(path)//"' is ONNX Runtime "//version// &
        ', which is too old. Use 1.20 or newer.', stat, errmsg)
      return
    end if
    call succeed(stat, errmsg)
  end subroutine open_library

  !> Create what all sessions share.
  subroutine start(stat, errmsg)
    integer, intent(out) :: stat
    character(len=*), intent(out), optional :: errmsg

    character(len=*), parameter :: sentence = &
      'ONNX Runtime was opened but could not be started. Try another version of it.'

    ! The statuses say what is wrong: ONNX Runtime is not to write into the host model's log.
    call ort_check(ort_create_env(ORT_LOG_FATAL, c_string('aeroact'), ort_env), &
      AEROACT_RUNTIME_FAILED, sentence, stat, errmsg)
    if (stat /= AEROACT_OK) then
      ort_env = c_null_ptr
      return
    end if
    call ort_check( &
      ort_create_cpu_memory_info(ORT_DEVICE_ALLOCATOR, ORT_MEMORY_DEFAULT, ort_memory), &
      AEROACT_RUNTIME_FAILED, sentence, stat, errmsg)
    if (stat /= AEROACT_OK) call stop_runtime()
  end subroutine start

  !> Release what all sessions share. The library stays mapped: it is not made to be unloaded.
  subroutine stop_runtime()
    if (c_associated(ort_memory)) call ort_release_memory_info(ort_memory)
    if (c_associated(ort_env)) call ort_release_env(ort_env)
    ort_memory = c_null_ptr
    ort_env = c_null_ptr
  end subroutine stop_runtime

end module aeroact_runtime
