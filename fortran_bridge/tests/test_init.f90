!> Finding, opening and closing ONNX Runtime.
program test_init
  use aeroact
  use testing
  implicit none

  character(len=AEROACT_ERRMSG_LEN) :: errmsg
  character(len=1024) :: path
  character(len=:), allocatable :: value
  type(aeroact_model) :: model
  integer :: stat

  select case (argument(1))
  case ('missing_library')
    call aeroact_init(stat, errmsg, '/no/such/library.so')
    call expect(AEROACT_LIBRARY_NOT_FOUND, stat, errmsg, 'argument', '/no/such/library.so')
    call aeroact_init(stat)
    call check(stat == AEROACT_LIBRARY_NOT_FOUND, 'again, without a sentence')

  case ('missing_variable')
    call aeroact_init(stat, errmsg)
    call expect(AEROACT_LIBRARY_NOT_FOUND, stat, errmsg, 'variable', '/no/such/libonnxruntime.so')

  case ('not_a_library')
    call aeroact_init(stat, errmsg, data_file('not_a_library.so'))
    call expect(AEROACT_LIBRARY_INVALID, stat, errmsg, 'a text file', 'not_a_library.so')

  case ('another_library')
    call get_environment_variable('AEROACT_ANOTHER_LIBRARY', path)
    call aeroact_init(stat, errmsg, path)
    call expect(AEROACT_LIBRARY_INVALID, stat, errmsg, 'another library', 'another_library')

  case ('unneeded')
    call aeroact_finalize()
    call model%free()
    call aeroact_init(stat, errmsg)
    call expect(AEROACT_LIBRARY_NOT_FOUND, stat, errmsg, 'init after finalize')

  case ('from_argument')
    call aeroact_init(stat, errmsg, '/no/such/library.so')
    call expect(AEROACT_LIBRARY_NOT_FOUND, stat, errmsg, 'argument before variable')
    call get_environment_variable('AEROACT_ORT_LIB', path)
    call aeroact_init(stat, errmsg, libpath=path)
    call expect(AEROACT_OK, stat, errmsg, 'argument')
    call still_works()

  case ('from_variable', 'from_loader')
    call open_runtime()
    call still_works()
    call aeroact_finalize()

  case ('twice')
    call open_runtime()
    call open_runtime()
    call still_works()

  case ('again')
    call open_runtime()
    call still_works()
    call aeroact_finalize()
    call model%load(data_file('mlp.onnx'), stat, errmsg)
    call expect(AEROACT_NOT_INITIALIZED, stat, errmsg, 'load after finalize', 'mlp.onnx')
    call open_runtime()
    call still_works()

  case ('loaded_models')
    call open_runtime()
    call model%load(data_file('mlp.onnx'), stat, errmsg)
    call aeroact_finalize()
    call model%metadata('note', value, stat, errmsg)
    call expect(AEROACT_NOT_LOADED, stat, errmsg, 'a model after finalize')
    call open_runtime()
    call model%metadata('note', value, stat, errmsg)
    call expect(AEROACT_NOT_LOADED, stat, errmsg, 'a model from before')
    call still_works()
  end select

  call finish()
end program test_init
