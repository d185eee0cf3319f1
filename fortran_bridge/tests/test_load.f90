!> Loading models, good and bad.
program test_load
  use aeroact
  use testing
  implicit none

  character(len=AEROACT_ERRMSG_LEN) :: errmsg
  character(len=:), allocatable :: value
  type(aeroact_model) :: model
  integer :: stat

  if (argument(1) /= 'before_init') call open_runtime()

  select case (argument(1))
  case ('before_init')
    call model%load(data_file('mlp.onnx'), stat, errmsg)
    call expect(AEROACT_NOT_INITIALIZED, stat, errmsg, 'load', 'aeroact_init')
    call open_runtime()

  case ('missing_file')
    call refuses('no_such_model.onnx', AEROACT_MODEL_NOT_FOUND)
  case ('directory')
    call refuses('', AEROACT_MODEL_INVALID)
  case ('truncated')
    call refuses('truncated.onnx', AEROACT_MODEL_INVALID)
  case ('not_onnx')
    call refuses('not_onnx.onnx', AEROACT_MODEL_INVALID)
  case ('wrong_input_width', 'wrong_output_width', 'wrong_input_name', 'wrong_type', &
    'wrong_rank', 'fixed_batch', 'two_inputs')
    call refuses(argument(1)//'.onnx', AEROACT_SIGNATURE_MISMATCH)
  case ('wrong_schema_version', 'no_schema_version')
    call refuses(argument(1)//'.onnx', AEROACT_SCHEMA_VERSION_MISMATCH)

  case ('no_threads')
    call model%load(data_file('mlp.onnx'), stat, errmsg, intra_threads=0)
    call expect(AEROACT_INVALID_ARGUMENT, stat, errmsg, 'no threads', 'intra_threads')
  case ('two_threads')
    call model%load(data_file('mlp.onnx'), stat, errmsg, intra_threads=2)
    call expect(AEROACT_OK, stat, errmsg, 'two threads')
    call predicts_as_expected(model, 'mlp', nstates)

  case ('replaces')
    call model%load(data_file('mlp.onnx'), stat, errmsg)
    call model%load(data_file('other.onnx'), stat, errmsg)
    call expect(AEROACT_OK, stat, errmsg, 'load over a loaded model')
    call predicts_as_expected(model, 'other', 7)

  case ('keeps_nothing')
    call model%load(data_file('mlp.onnx'), stat, errmsg)
    call refuses('truncated.onnx', AEROACT_MODEL_INVALID)
    call refuses('wrong_schema_version.onnx', AEROACT_SCHEMA_VERSION_MISMATCH)

  case ('metadata')
    call model%metadata('note', value, stat, errmsg)
    call expect(AEROACT_NOT_LOADED, stat, errmsg, 'metadata of nothing')
    call model%load(data_file('mlp.onnx'), stat, errmsg)
    call model%metadata('note', value, stat, errmsg)
    call expect(AEROACT_OK, stat, errmsg, 'metadata')
    call check(value == 'made for the tests', 'metadata: '//value)
    call model%metadata('nothing', value, stat, errmsg)
    call expect(AEROACT_NO_METADATA, stat, errmsg, 'no such key', 'nothing')
    call check(len(value) == 0, 'no value: '//value)
  end select

  call still_works()
  call finish()

contains

  !> Loading this file gives this status and a sentence that names the file.
  subroutine refuses(name, wanted)
    character(len=*), intent(in) :: name
    integer, intent(in) :: wanted

    call model%load(data_file(name), stat, errmsg)
    call expect(wanted, stat, errmsg, name, data_file(name))
    call model%metadata('note', value, stat, errmsg)
    call expect(AEROACT_NOT_LOADED, stat, errmsg, name//' is not loaded')
  end subroutine refuses

end program test_load
