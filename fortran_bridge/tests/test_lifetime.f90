!> Models come and go: several at once, more than there is room for, copied.
program test_lifetime
  use aeroact
  use testing
  implicit none

  !> A host model's own type with a model in it.
  type :: scheme
    type(aeroact_model) :: model
    integer :: calls = 0
  end type scheme

  character(len=AEROACT_ERRMSG_LEN) :: errmsg
  integer :: stat

  call open_runtime()
  select case (argument(1))
  case ('two_models')
    call two_models()
  case ('too_many')
    call too_many()
  case ('copied')
    call copied()
  end select

  call aeroact_finalize()
  call finish()

contains

  subroutine two_models()
    type(aeroact_model) :: first, second

    call first%load(data_file('mlp.onnx'), stat, errmsg)
    call second%load(data_file('other.onnx'), stat, errmsg)
    call predicts_as_expected(first, 'mlp', 7)
    call predicts_as_expected(second, 'other', 7)
    stat = -1
    call first%free(stat, errmsg)
    call expect(AEROACT_OK, stat, errmsg, 'free')
    call is_not_loaded(first)
    call predicts_as_expected(second, 'other', nstates)
  end subroutine two_models

  subroutine too_many()
    type(aeroact_model) :: models(AEROACT_MAX_MODELS), another
    integer :: i

    do i = 1, size(models)
      call models(i)%load(data_file('mlp.onnx'), stat, errmsg)
      if (stat /= AEROACT_OK) exit
    end do
    call expect(AEROACT_OK, stat, errmsg, 'as many as there is room for')
    call another%load(data_file('other.onnx'), stat, errmsg)
    call expect(AEROACT_TOO_MANY_MODELS, stat, errmsg, 'one more', 'other.onnx')
    call models(7)%free()
    call another%load(data_file('other.onnx'), stat, errmsg)
    call expect(AEROACT_OK, stat, errmsg, 'after one has been freed')
    call predicts_as_expected(another, 'other', 7)
    call predicts_as_expected(models(size(models)), 'mlp', 7)
    call is_not_loaded(models(7))
  end subroutine too_many

  !> A copy is the same emulator, also within a host model's own type.
  subroutine copied()
    type(aeroact_model) :: another
    type(scheme) :: one, two

    call one%model%load(data_file('mlp.onnx'), stat, errmsg)
    two = one
    call predicts_as_expected(two%model, 'mlp', 7)
    call one%model%free()
    call is_not_loaded(two%model)
    call another%load(data_file('other.onnx'), stat, errmsg)
    call is_not_loaded(two%model)  ! another has its place in the table now
    call two%model%free()
    call predicts_as_expected(another, 'other', 7)
  end subroutine copied

  subroutine is_not_loaded(model)
    type(aeroact_model), intent(in) :: model
    character(len=:), allocatable :: value

    call model%metadata('note', value, stat, errmsg)
    call expect(AEROACT_NOT_LOADED, stat, errmsg, 'freed')
  end subroutine is_not_loaded

end program test_lifetime
