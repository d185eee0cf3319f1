!> The part of ONNX Runtime's C interface that the bridge calls.
!!
!! ONNX Runtime hands out a table of function addresses whose layout it never changes, only
!! extends. Each procedure pointer below is one slot of that table.
module aeroact_ort
  use, intrinsic :: iso_c_binding, only: c_associated, c_char, c_f_pointer, c_f_procpointer, &
    c_funptr, c_int, c_int32_t, c_int64_t, c_ptr, c_size_t
  use aeroact_dl, only: f_string
  use aeroact_status, only: fail, succeed
  implicit none
  private

  public :: ort_bind, ort_check

  !> The version of the table to ask for, that of ONNX Runtime 1.20: the oldest one tested.
  integer, parameter, public :: ORT_API_VERSION = 20

  integer(c_int), parameter, public :: ORT_LOG_FATAL = 4_c_int
  integer(c_int), parameter, public :: ORT_SEQUENTIAL = 0_c_int
  integer(c_int), parameter, public :: ORT_ENABLE_ALL = 99_c_int
  integer(c_int), parameter, public :: ORT_DEVICE_ALLOCATOR = 0_c_int
  integer(c_int), parameter, public :: ORT_MEMORY_DEFAULT = 0_c_int
  integer(c_int), parameter, public :: ORT_FLOAT32 = 1_c_int

  !> What OrtGetApiBase returns the address of.
  type, bind(c) :: ort_api_base
    type(c_funptr) :: get_api
    type(c_funptr) :: get_version_string
  end type ort_api_base

  abstract interface
    function get_api_base_i() bind(c) result(base)
      import :: c_ptr
      type(c_ptr) :: base
    end function get_api_base_i

    function get_version_i() bind(c) result(text)
      import :: c_ptr
      type(c_ptr) :: text
    end function get_version_i

    function get_api_i(version) bind(c) result(api)
      import :: c_int32_t, c_ptr
      integer(c_int32_t), value :: version
      type(c_ptr) :: api
    end function get_api_i

    function get_text_i(object) bind(c) result(text)
      import :: c_ptr
      type(c_ptr), value :: object
      type(c_ptr) :: text
    end function get_text_i

    subroutine release_i(object) bind(c)
      import :: c_ptr
      type(c_ptr), value :: object
    end subroutine release_i

    ! From here on each function returns a status: null, or an object that holds the error.

    function create_i(object) bind(c) result(status)
      import :: c_ptr
      type(c_ptr), intent(out) :: object
      type(c_ptr) :: status
    end function create_i

    function create_env_i(log_level, log_id, env) bind(c) result(status)
      import :: c_char, c_int, c_ptr
      integer(c_int), value :: log_level
      character(kind=c_char), intent(in) :: log_id(*)
      type(c_ptr), intent(out) :: env
      type(c_ptr) :: status
    end function create_env_i

    function create_cpu_memory_info_i(allocator_type, memory_type, info) bind(c) result(status)
      import :: c_int, c_ptr
      integer(c_int), value :: allocator_type, memory_type
      type(c_ptr), intent(out) :: info
      type(c_ptr) :: status
    end function create_cpu_memory_info_i

    function set_option_i(options, setting) bind(c) result(status)
      import :: c_int, c_ptr
      type(c_ptr), value :: options
      integer(c_int), value :: setting
      type(c_ptr) :: status
    end function set_option_i

    function add_config_entry_i(options, key, setting) bind(c) result(status)
      import :: c_char, c_ptr
      type(c_ptr), value :: options
      character(kind=c_char), intent(in) :: key(*), setting(*)
      type(c_ptr) :: status
    end function add_config_entry_i

    function create_session_i(env, bytes, length, options, session) bind(c) result(status)
      import :: c_ptr, c_size_t
      type(c_ptr), value :: env, bytes, options
      integer(c_size_t), value :: length
      type(c_ptr), intent(out) :: session
      type(c_ptr) :: status
    end function create_session_i

    function create_tensor_i(memory, data, bytes, shape, rank, element_type, tensor) &
      bind(c) result(status)
      import :: c_int, c_int64_t, c_ptr, c_size_t
      type(c_ptr), value :: memory, data
      integer(c_size_t), value :: bytes, rank
      integer(c_int64_t), intent(in) :: shape(rank)
      integer(c_int), value :: element_type
      type(c_ptr), intent(out) :: tensor
      type(c_ptr) :: status
    end function create_tensor_i

    function run_i(session, options, input_names, inputs, ninputs, output_names, noutputs, &
      outputs) bind(c) result(status)
      import :: c_ptr, c_size_t
      type(c_ptr), value :: session, options
      integer(c_size_t), value :: ninputs, noutputs
      type(c_ptr), intent(in) :: input_names(ninputs), inputs(ninputs), output_names(noutputs)
      type(c_ptr), intent(inout) :: outputs(noutputs)
      type(c_ptr) :: status
    end function run_i

    function create_binding_i(session, binding) bind(c) result(status)
      import :: c_ptr
      type(c_ptr), value :: session
      type(c_ptr), intent(out) :: binding
      type(c_ptr) :: status
    end function create_binding_i

    function bind_i(binding, name, tensor) bind(c) result(status)
      import :: c_char, c_ptr
      type(c_ptr), value :: binding, tensor
      character(kind=c_char), intent(in) :: name(*)
      type(c_ptr) :: status
    end function bind_i

    function run_with_binding_i(session, options, binding) bind(c) result(status)
      import :: c_ptr
      type(c_ptr), value :: session, options, binding
      type(c_ptr) :: status
    end function run_with_binding_i
  end interface

  ! ONNX Runtime's functions, by name; null until `ort_bind` has succeeded.
  procedure(get_text_i), pointer, public, protected, save :: ort_get_error_message => null()
  procedure(release_i), pointer, public, protected, save :: ort_release_status => null()

  procedure(create_env_i), pointer, public, protected, save :: ort_create_env => null()
  procedure(release_i), pointer, public, protected, save :: ort_release_env => null()
  procedure(create_cpu_memory_info_i), pointer, public, protected, save :: &
    ort_create_cpu_memory_info => null()
  procedure(release_i), pointer, public, protected, save :: ort_release_memory_info => null()

  procedure(create_i), pointer, public, protected, save :: ort_create_options => null()
  procedure(set_option_i), pointer, public, protected, save :: ort_set_execution_mode => null()
  procedure(set_option_i), pointer, public, protected, save :: ort_set_optimization_level => null()
  procedure(set_option_i), pointer, public, protected, save :: ort_set_intra_threads => null()
  procedure(set_option_i), pointer, public, protected, save :: ort_set_inter_threads => null()
  procedure(add_config_entry_i), pointer, public, protected, save :: ort_add_config_entry => null()
  procedure(release_i), pointer, public, protected, save :: ort_release_options => null()

  procedure(create_session_i), pointer, public, protected, save :: ort_create_session => null()
  procedure(release_i), pointer, public, protected, save :: ort_release_session => null()

  procedure(create_tensor_i), pointer, public, protected, save :: ort_create_tensor => null()
  procedure(release_i), pointer, public, protected, save :: ort_release_tensor => null()
  procedure(run_i), pointer, public, protected, save :: ort_run => null()

  procedure(create_binding_i), pointer, public, protected, save :: ort_create_binding => null()
  procedure(release_i), pointer, public, protected, save :: ort_release_binding => null()
  procedure(bind_i), pointer, public, protected, save :: ort_bind_input => null()
  procedure(bind_i), pointer, public, protected, save :: ort_bind_output => null()
  procedure(run_with_binding_i), pointer, public, protected, save :: ort_run_with_binding => null()

contains

  !> Find the functions through the library's one entry point.
  subroutine ort_bind(entry_point, supported, version)
    type(c_funptr), intent(in) :: entry_point
      !! the address of OrtGetApiBase
    logical, intent(out) :: supported
      !! whether the library knows `ORT_API_VERSION`
    character(len=:), allocatable, intent(out) :: version
      !! the library's own version, as in 1.20.1

    integer, parameter :: last_slot = 137
    procedure(get_api_base_i), pointer :: get_api_base
    procedure(get_api_i), pointer :: get_api
    procedure(get_version_i), pointer :: get_version
    type(ort_api_base), pointer :: base
    type(c_funptr), pointer :: table(:), slot(:)
    type(c_ptr) :: address

    call c_f_procpointer(entry_point, get_api_base)
    call c_f_pointer(get_api_base(), base)
    call c_f_procpointer(base%get_version_string, get_version)
    version = f_string(get_version())

    ! Asked for a version that it does not know, the library prints a line.
    supported = is_recent(version)
    if (.not. supported) return
    call c_f_procpointer(base%get_api, get_api)
    address = get_api(int(ORT_API_VERSION, c_int32_t))
    supported = c_associated(address)
    if (.not. supported) return

    call c_f_pointer(address, table, [last_slot + 1])
    slot(0:) => table  ! numbered from 0, as in the C header

    call c_f_procpointer(slot(2), ort_get_error_message)
    call c_f_procpointer(slot(3), ort_create_env)
    call c_f_procpointer(slot(8), ort_create_session)
    call c_f_procpointer(slot(9), ort_run)
    call c_f_procpointer(slot(10), ort_create_options)
    call c_f_procpointer(slot(13), ort_set_execution_mode)
    call c_f_procpointer(slot(23), ort_set_optimization_level)
    call c_f_procpointer(slot(24), ort_set_intra_threads)
    call c_f_procpointer(slot(25), ort_set_inter_threads)
    call c_f_procpointer(slot(49), ort_create_tensor)
    call c_f_procpointer(slot(69), ort_create_cpu_memory_info)
    call c_f_procpointer(slot(92), ort_release_env)
    call c_f_procpointer(slot(93), ort_release_status)
    call c_f_procpointer(slot(94), ort_release_memory_info)
    call c_f_procpointer(slot(95), ort_release_session)
    call c_f_procpointer(slot(96), ort_release_tensor)
    call c_f_procpointer(slot(100), ort_release_options)
    call c_f_procpointer(slot(130), ort_add_config_entry)
    call c_f_procpointer(slot(133), ort_run_with_binding)
    call c_f_procpointer(slot(134), ort_create_binding)
    call c_f_procpointer(slot(135), ort_release_binding)
    call c_f_procpointer(slot(136), ort_bind_input)
    call c_f_procpointer(slot(137), ort_bind_output)
  end subroutine ort_bind

  !> Whether a version, as in 1.20.1, is one with the table that is asked for.
  pure function is_recent(version)
    character(len=*), intent(in) :: version
    logical :: is_recent

    integer :: error, first, last, major, minor

    is_recent = .false.
    first = index(version, '.')
    last = first + scan(version(first + 1:)//'.', '.')
    if (first < 2 .or. last == first + 1) return
    read (version(:first - 1), *, iostat=error) major
    if (error == 0) read (version(first + 1:last - 1), *, iostat=error) minor
    if (error == 0) is_recent = major > 1 .or. (major == 1 .and. minor >= ORT_API_VERSION)
  end function is_recent

  !> Turn what an ONNX Runtime function returned into a status and a sentence.
  recursive subroutine ort_check(status, code, sentence, stat, errmsg)
    type(c_ptr), intent(in) :: status
      !! what the function returned; released here
    integer, intent(in) :: code
      !! the status to report if it failed
    character(len=*), intent(in) :: sentence
      !! what to say if it failed; ONNX Runtime's own words follow
    integer, intent(out) :: stat
    character(len=*), intent(out), optional :: errmsg

    call succeed(stat, errmsg)
    if (.not. c_associated(status)) return
    call fail(code, sentence//' ONNX Runtime says: '//f_string(ort_get_error_message(status)), &
      stat, errmsg)
    call ort_release_status(status)
  end subroutine ort_check

end module aeroact_ort
