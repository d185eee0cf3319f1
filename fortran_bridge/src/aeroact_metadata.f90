!> The key-value pairs that a model's file carries beside its network.
module aeroact_metadata
  use, intrinsic :: iso_c_binding, only: c_associated, c_ptr
  use aeroact_dl, only: c_string, f_string
  use aeroact_ort, only: ort_allocator_free, ort_check, ort_get_metadata, ort_lookup_metadata, &
    ort_release_metadata
  use aeroact_runtime, only: ort_allocator
  use aeroact_status, only: AEROACT_NO_METADATA, AEROACT_OK, AEROACT_RUNTIME_FAILED, fail
  implicit none
  private

  public :: lookup_metadata

contains

  !> The value that the model gives to one key.
  subroutine lookup_metadata(session, path, key, value, stat, errmsg)
    type(c_ptr), intent(in) :: session
      !! the open model
    character(len=*), intent(in) :: path
      !! its file, for the sentence
    character(len=*), intent(in) :: key
    character(len=:), allocatable, intent(out) :: value
      !! empty if there is none
    integer, intent(out) :: stat
      !! `AEROACT_OK`, `AEROACT_NO_METADATA` or `AEROACT_RUNTIME_FAILED`
    character(len=*), intent(out), optional :: errmsg

    character(len=:), allocatable :: sentence
    type(c_ptr) :: metadata, found
    integer :: ignored

    value = ''
    sentence = "The metadata of '"//path//"' cannot be read. Export the model again."
    call ort_check(ort_get_metadata(session, metadata), &
      AEROACT_RUNTIME_FAILED, sentence, stat, errmsg)
    if (stat /= AEROACT_OK) return

    call ort_check(ort_lookup_metadata(metadata, ort_allocator, c_string(key), found), &
      AEROACT_RUNTIME_FAILED, sentence, stat, errmsg)
    call ort_release_metadata(metadata)
    if (stat /= AEROACT_OK) return

    if (.not. c_associated(found)) then
      call fail(AEROACT_NO_METADATA, "The metadata of '"//path//"' has no key '"//trim(key)// &
        "'. Check the spelling, or export the model again.", stat, errmsg)
      return
    end if
    value = f_string(found)
    call ort_check(ort_allocator_free(ort_allocator, found), AEROACT_RUNTIME_FAILED, '', ignored)
  end subroutine lookup_metadata

end module aeroact_metadata
