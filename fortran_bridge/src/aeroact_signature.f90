!> A model's inputs and outputs, held against the schema's.
module aeroact_signature
  use, intrinsic :: iso_c_binding, only: c_associated, c_int, c_int64_t, c_ptr, c_size_t
  use aeroact_dl, only: f_string
  use aeroact_ort, only: ORT_FLOAT32, get_count_i, get_name_i, get_type_info_i, &
    ort_allocator_free, ort_cast_to_tensor_info, ort_check, ort_get_dimensions, &
    ort_get_dimensions_count, ort_get_element_type, ort_get_input_count, ort_get_input_name, &
    ort_get_input_type_info, ort_get_output_count, ort_get_output_name, &
    ort_get_output_type_info, ort_release_type_info
  use aeroact_runtime, only: ort_allocator
  use aeroact_schema, only: AEROACT_NMODES, AEROACT_NSTATE
  use aeroact_status, only: AEROACT_OK, AEROACT_RUNTIME_FAILED, AEROACT_SIGNATURE_MISMATCH, fail, &
    succeed
  implicit none
  private

  public :: check_signature

  character(len=*), parameter, public :: input_name = 'state'
  character(len=*), parameter, public :: output_name = 'fn'

contains

  !> Whether the model has one input `state`, float32 [N, 16], and a first output `fn`,
  !> float32 [N, 4]. A second one, the guard `in_domain`, is not asked for at a run.
  subroutine check_signature(session, path, stat, errmsg)
    type(c_ptr), intent(in) :: session
      !! the open model
    character(len=*), intent(in) :: path
      !! its file, for the sentence
    integer, intent(out) :: stat
      !! `AEROACT_OK`, `AEROACT_SIGNATURE_MISMATCH` or `AEROACT_RUNTIME_FAILED`
    character(len=*), intent(out), optional :: errmsg

    call check_side(session, path, 'input', input_name, AEROACT_NSTATE, 1, ort_get_input_count, &
      ort_get_input_name, ort_get_input_type_info, stat, errmsg)
    if (stat /= AEROACT_OK) return
    call check_side(session, path, 'output', output_name, AEROACT_NMODES, 2, &
      ort_get_output_count, ort_get_output_name, ort_get_output_type_info, stat, errmsg)
  end subroutine check_signature

  !> Check inputs, or outputs: the first has this name and width, and there are not too many.
  subroutine check_side(session, path, side, name, width, most, get_count, get_name, &
    get_type_info, stat, errmsg)
    type(c_ptr), intent(in) :: session
    character(len=*), intent(in) :: path, side, name
    integer, intent(in) :: width, most
    procedure(get_count_i) :: get_count
    procedure(get_name_i) :: get_name
    procedure(get_type_info_i) :: get_type_info
    integer, intent(out) :: stat
    character(len=*), intent(out), optional :: errmsg

    character(len=:), allocatable :: sentence, found_name
    integer(c_int64_t) :: dimensions(2)
    integer(c_size_t) :: count, rank
    integer(c_int) :: element_type
    type(c_ptr) :: c_name, type_info
    integer :: ignored

    sentence = "The "//side//"s of '"//path//"' cannot be read. Export the model again."
    call ort_check(get_count(session, count), AEROACT_RUNTIME_FAILED, sentence, stat, errmsg)
    if (stat /= AEROACT_OK) return
    if (count < 1 .or. count > most) then
      call mismatch('it has '//decimal(int(count, c_int64_t))//' '//side//'s')
      return
    end if

    call ort_check(get_name(session, 0_c_size_t, ort_allocator, c_name), &
      AEROACT_RUNTIME_FAILED, sentence, stat, errmsg)
    if (stat /= AEROACT_OK) return
    found_name = f_string(c_name)
    call ort_check(ort_allocator_free(ort_allocator, c_name), AEROACT_RUNTIME_FAILED, '', ignored)
    if (found_name /= name) then
      call mismatch("it is named '"//found_name//"'")
      return
    end if

    call ort_check(get_type_info(session, 0_c_size_t, type_info), &
      AEROACT_RUNTIME_FAILED, sentence, stat, errmsg)
    if (stat /= AEROACT_OK) return
    call read_tensor_type(type_info, sentence, element_type, rank, dimensions, stat, errmsg)
    call ort_release_type_info(type_info)
    if (stat /= AEROACT_OK) return

    if (element_type /= ORT_FLOAT32) then
      call mismatch('its elements are not float32')
    else if (rank /= 2) then
      call mismatch('its rank is '//decimal(int(rank, c_int64_t)))
    else if (dimensions(1) >= 0) then  ! -1 is an axis of any length
      call mismatch('N is fixed to '//decimal(dimensions(1)))
    else if (dimensions(2) /= width) then
      call mismatch('it is [N, '//decimal(dimensions(2))//']')
    end if

  contains

    subroutine mismatch(difference)
      character(len=*), intent(in) :: difference

      call fail(AEROACT_SIGNATURE_MISMATCH, "The "//side//" of '"//path//"' is to be '"// &
        name//"', float32 [N, "//decimal(int(width, c_int64_t))//'], but '//difference// &
        '. Export the model with aeroact-export.', stat, errmsg)
    end subroutine mismatch

  end subroutine check_side

  !> Element type, rank and (of rank 2) dimensions of a tensor; all 0 for anything else.
  subroutine read_tensor_type(type_info, sentence, element_type, rank, dimensions, stat, errmsg)
    type(c_ptr), intent(in) :: type_info
    character(len=*), intent(in) :: sentence
    integer(c_int), intent(out) :: element_type
    integer(c_size_t), intent(out) :: rank
    integer(c_int64_t), intent(out) :: dimensions(2)
    integer, intent(out) :: stat
    character(len=*), intent(out), optional :: errmsg

    type(c_ptr) :: tensor_info  ! a view of type_info, not to be released

    element_type = 0
    rank = 0
    dimensions = 0
    call ort_check(ort_cast_to_tensor_info(type_info, tensor_info), &
      AEROACT_RUNTIME_FAILED, sentence, stat, errmsg)
    if (stat /= AEROACT_OK .or. .not. c_associated(tensor_info)) return
    call ort_check(ort_get_element_type(tensor_info, element_type), &
      AEROACT_RUNTIME_FAILED, sentence, stat, errmsg)
    if (stat /= AEROACT_OK) return
    call ort_check(ort_get_dimensions_count(tensor_info, rank), &
      AEROACT_RUNTIME_FAILED, sentence, stat, errmsg)
    if (stat /= AEROACT_OK .or. rank /= 2) return
    call ort_check(ort_get_dimensions(tensor_info, dimensions, rank), &
      AEROACT_RUNTIME_FAILED, sentence, stat, errmsg)
  end subroutine read_tensor_type

  !> An integer in as few characters as it takes.
  pure function decimal(number) result(text)
    integer(c_int64_t), intent(in) :: number
    character(len=:), allocatable :: text
    character(len=20) :: buffer

    write (buffer, '(i0)') number
    text = trim(buffer)
  end function decimal

end module aeroact_signature
