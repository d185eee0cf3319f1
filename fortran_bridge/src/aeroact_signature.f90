!> What a model states of itself, held against the schema: its input and output, and its metadata.
module aeroact_signature
  use aeroact_onnx, only: ONNX_FLOAT, entry, onnx_file, onnx_value
  use aeroact_schema, only: AEROACT_COLUMNS, AEROACT_NMODES, AEROACT_NSTATE, &
    AEROACT_SCHEMA_VERSION, AEROACT_UNITS
  use aeroact_status, only: AEROACT_COLUMNS_MISMATCH, AEROACT_OK, &
    AEROACT_SCHEMA_VERSION_MISMATCH, AEROACT_SIGNATURE_MISMATCH, decimal, fail, succeed
  implicit none
  private

  public :: check_signature, check_schema, find_entry

  character(len=*), parameter, public :: input_name = 'state'
  character(len=*), parameter, public :: output_name = 'fn'

contains

  !> Whether the model has one input `state`, float32 [N, 16], and a first output `fn`,
  !> float32 [N, 4]. A second one, the guard `in_domain`, is not asked for at a run.
  subroutine check_signature(file, name, stat, errmsg)
    type(onnx_file), intent(in) :: file
    character(len=*), intent(in) :: name
      !! the model's file, for the sentence
    integer, intent(out) :: stat
      !! `AEROACT_OK` or `AEROACT_SIGNATURE_MISMATCH`
    character(len=*), intent(out), optional :: errmsg

    call check_side(file%inputs, 'input', input_name, AEROACT_NSTATE, 1)
    if (stat == AEROACT_OK) &
      call check_side(file%outputs, 'output', output_name, AEROACT_NMODES, 2)

  contains

    !> The first of these has this name and width, and there are not too many.
    subroutine check_side(values, side, wanted, width, most)
      type(onnx_value), intent(in) :: values(:)
      character(len=*), intent(in) :: side, wanted
      integer, intent(in) :: width, most

      character(len=:), allocatable :: difference

      difference = ''
      if (size(values) < 1 .or. size(values) > most) then
        difference = 'it has '//decimal(size(values))//' '//side//'s'
      else if (values(1)%name /= wanted) then
        difference = "it is named '"//values(1)%name//"'"
      else if (values(1)%element_type /= ONNX_FLOAT) then
        difference = 'its elements are not float32'
      else if (size(values(1)%extents) /= 2) then
        difference = 'its rank is '//decimal(size(values(1)%extents))
      else if (values(1)%extents(1) >= 0) then  ! -1 is an axis of any length
        difference = 'N is fixed to '//decimal(values(1)%extents(1))
      else if (values(1)%extents(2) /= width) then
        difference = 'it is [N, '//decimal(values(1)%extents(2))//']'
      end if

      call succeed(stat, errmsg)
      if (difference /= '') call fail(AEROACT_SIGNATURE_MISMATCH, 'The '//side//" of '"//name// &
        "' is to be '"//wanted//"', float32 [N, "//decimal(width)//'], but '//difference// &
        '. Export the model with aeroact-export.', stat, errmsg)
    end subroutine check_side

  end subroutine check_signature

  !> A model must say which schema it was trained in: its columns have no other names than this.
  subroutine check_schema(metadata, name, stat, errmsg)
    type(entry), intent(in) :: metadata(:)
    character(len=*), intent(in) :: name
      !! the model's file, for the sentence
    integer, intent(out) :: stat
      !! `AEROACT_OK`, `AEROACT_SCHEMA_VERSION_MISMATCH` or `AEROACT_COLUMNS_MISMATCH`
    character(len=*), intent(out), optional :: errmsg

    integer :: found

    call succeed(stat, errmsg)
    found = find_entry(metadata, 'schema_version')
    if (found == 0) then
      call fail(AEROACT_SCHEMA_VERSION_MISMATCH, "'"//name//"' states no schema_version in its &
        &metadata. Export the model with aeroact-export.", stat, errmsg)
    else if (metadata(found)%value /= AEROACT_SCHEMA_VERSION) then
      call fail(AEROACT_SCHEMA_VERSION_MISMATCH, "'"//name//"' has schema version '"// &
        metadata(found)%value//"', and this library speaks version '"//AEROACT_SCHEMA_VERSION// &
        "'. Use a model and a library of one release.", stat, errmsg)
    end if
    if (stat == AEROACT_OK) call check_list('columns', AEROACT_COLUMNS)
    if (stat == AEROACT_OK) call check_list('units', AEROACT_UNITS)

  contains

    !> One of the lists in the metadata is the schema's.
    subroutine check_list(key, wanted)
      character(len=*), intent(in) :: key, wanted(:)

      character(len=:), allocatable :: list
      integer :: i, place

      place = find_entry(metadata, key)
      if (place == 0) then
        call fail(AEROACT_COLUMNS_MISMATCH, "'"//name//"' states no "//key//' in its metadata. &
          &Export the model with aeroact-export.', stat, errmsg)
        return
      end if
      list = ''
      do i = 1, size(wanted)
        list = list//', "'//trim(wanted(i))//'"'
      end do
      list = '['//list(3:)//']'
      if (metadata(place)%value /= list) call fail(AEROACT_COLUMNS_MISMATCH, 'The '//key// &
        " of '"//name//"' are "//metadata(place)%value//', but the schema has '//list// &
        '. Use a model and a library of one release.', stat, errmsg)
    end subroutine check_list

  end subroutine check_schema

  !> Where a key stands in the metadata; 0 if it does not.
  pure function find_entry(metadata, key) result(place)
    type(entry), intent(in) :: metadata(:)
    character(len=*), intent(in) :: key
    integer :: place

    do place = 1, size(metadata)
      if (metadata(place)%key == key) return
    end do
    place = 0
  end function find_entry

end module aeroact_signature
