!> A bundle's `weights.nc`, read through netCDF-Fortran.
!!
!! Where the library is built without it, `src/aeroact_weights.f90` takes the place of this file.
module aeroact_weights
  use, intrinsic :: iso_fortran_env, only: real32
  use aeroact_emulators, only: emulator
  use aeroact_native, only: native_create
  use aeroact_schema, only: AEROACT_NMODES, AEROACT_NSTATE
  use aeroact_status, only: AEROACT_MODEL_INVALID, AEROACT_NO_MEMORY, AEROACT_NOT_NATIVE, &
    AEROACT_OK, decimal, fail, succeed
  use netcdf, only: nf90_close, nf90_get_att, nf90_get_var, nf90_global, nf90_inq_varid, &
    nf90_inquire_attribute, nf90_inquire_dimension, nf90_inquire_variable, nf90_max_var_dims, &
    nf90_noerr, nf90_nowrite, nf90_open, nf90_strerror
  implicit none
  private

  public :: read_weights

contains

  !> Read a network, with the metadata that an ONNX file of the bundle has under the same keys.
  subroutine read_weights(path, read, stat, errmsg)
    character(len=*), intent(in) :: path
    type(emulator), intent(out) :: read
    integer, intent(out) :: stat
      !! `AEROACT_OK`, `AEROACT_MODEL_INVALID`, `AEROACT_NOT_NATIVE` or `AEROACT_NO_MEMORY`
    character(len=*), intent(out), optional :: errmsg

    integer :: file, ignored

    read%name = path
    call succeed(stat, errmsg)
    call check(nf90_open(path, nf90_nowrite, file), 'it is not a NetCDF file')
    if (stat /= AEROACT_OK) return
    call read_file()
    ignored = nf90_close(file)

  contains

    subroutine read_file()
      real(real32), dimension(AEROACT_NSTATE) :: clip_low, clip_high, is_log, floor, mean, std
      real(real32), dimension(AEROACT_NSTATE) :: low, high
      real(real32), allocatable :: weights(:), kernel(:), bias(:)
      integer, allocatable :: widths(:)
      character(len=:), allocatable :: activation, columns, hidden, number, units, version
      integer :: i, layers
      logical :: known

      layers = 0
      hidden = 'relu'
      call check(nf90_get_att(file, nf90_global, 'layers', layers), 'its attribute layers')
      call get_text('', 'schema_version', version)
      call get_text('', 'columns', columns)
      call get_text('', 'units', units)
      call get_columns('clip_low', clip_low)
      call get_columns('clip_high', clip_high)
      call get_columns('is_log', is_log)
      call get_columns('floor', floor)
      call get_columns('mean', mean)
      call get_columns('std', std)
      call get_columns('low', low)
      call get_columns('high', high)
      widths = [AEROACT_NSTATE]
      weights = [real(real32) ::]
      do i = 1, layers
        if (stat /= AEROACT_OK) return
        number = decimal(i)
        call get_numbers('kernel_'//number, kernel)
        call get_numbers('bias_'//number, bias)
        call get_text('bias_'//number, 'activation', activation)
        weights = [weights, kernel, bias]
        widths = [widths, size(bias)]
        if (i == layers) then
          known = activation == 'sigmoid'
        else
          if (i == 1) hidden = activation
          known = activation == hidden .and. (hidden == 'relu' .or. hidden == 'relu2')
        end if
        if (stat == AEROACT_OK .and. .not. known) &
          call fail(AEROACT_NOT_NATIVE, "The network of '"//path//"' is not one that the native &
          &backend evaluates: it has other activations than relu, or relu2 in all hidden layers, &
          &and sigmoid at the end. Export it with aeroact-export.", stat, errmsg)
      end do
      if (stat /= AEROACT_OK) return
      call native_create(read%network, widths, weights, clip_low, clip_high, nint(is_log) /= 0, &
        floor, mean, std, stat, errmsg, hidden == 'relu2')
      if (stat /= AEROACT_OK) then
        if (stat /= AEROACT_NO_MEMORY) call fail(AEROACT_MODEL_INVALID, "The numbers of '"//path// &
          "' make no sense. Copy or export it again.", stat, errmsg)
        return
      end if
      allocate (read%metadata(4))
      read%metadata(1)%key = 'schema_version'
      read%metadata(1)%value = version
      read%metadata(2)%key = 'columns'
      read%metadata(2)%value = json_list(columns, ' ')
      read%metadata(3)%key = 'units'
      read%metadata(3)%value = json_list(units, ',')
      read%metadata(4)%key = 'training_bounds'
      read%metadata(4)%value = '{"low": '//json_numbers(low)//', "high": '//json_numbers(high)//'}'
    end subroutine read_file

    !> Note the first failure.
    subroutine check(code, what)
      integer, intent(in) :: code
      character(len=*), intent(in) :: what

      if (stat /= AEROACT_OK .or. code == nf90_noerr) return
      call fail(AEROACT_MODEL_INVALID, "'"//path//"' cannot be read as the weights of an &
        &emulator: "//what//' ('//trim(nf90_strerror(code))//'). Copy or export it again.', &
        stat, errmsg)
    end subroutine check

    !> A variable with one number for each column of the state.
    subroutine get_columns(name, columns)
      character(len=*), intent(in) :: name
      real(real32), intent(out) :: columns(AEROACT_NSTATE)

      real(real32), allocatable :: values(:)

      columns = 0
      call get_numbers(name, values)
      if (size(values) == AEROACT_NSTATE) then
        columns = values
      else if (stat == AEROACT_OK) then
        call fail(AEROACT_MODEL_INVALID, "'"//path//"' cannot be read as the weights of an &
          &emulator: "//name//' has not 16 values. Copy or export it again.', stat, errmsg)
      end if
    end subroutine get_columns

    !> The numbers of a variable, in the order in which they lie in the file.
    subroutine get_numbers(name, values)
      character(len=*), intent(in) :: name
      real(real32), allocatable, intent(out) :: values(:)

      real(real32), allocatable :: matrix(:, :)
      integer :: dimensions(nf90_max_var_dims), extents(2), i, rank, variable

      values = [real(real32) ::]
      extents = 1
      rank = 0
      call check(nf90_inq_varid(file, name, variable), name)
      if (stat == AEROACT_OK) call check(nf90_inquire_variable(file, variable, ndims=rank, &
        dimids=dimensions), name)
      if (stat /= AEROACT_OK .or. rank < 1 .or. rank > 2) return
      do i = 1, rank
        call check(nf90_inquire_dimension(file, dimensions(i), len=extents(i)), name)
      end do
      allocate (matrix(extents(1), extents(2)))
      if (stat == AEROACT_OK) call check(nf90_get_var(file, variable, matrix, &
        count=extents(:rank)), name)
      if (stat == AEROACT_OK) values = reshape(matrix, [size(matrix)])
    end subroutine get_numbers

    !> An attribute, of the file where no variable is named.
    subroutine get_text(name, attribute, text)
      character(len=*), intent(in) :: name, attribute
      character(len=:), allocatable, intent(out) :: text

      integer :: length, variable

      text = ''
      variable = nf90_global
      length = 0
      if (name /= '') call check(nf90_inq_varid(file, name, variable), name)
      if (stat == AEROACT_OK) call check(nf90_inquire_attribute(file, variable, attribute, &
        len=length), 'its attribute '//attribute)
      if (stat /= AEROACT_OK) return
      deallocate (text)
      allocate (character(len=length) :: text)
      call check(nf90_get_att(file, variable, attribute, text), 'its attribute '//attribute)
    end subroutine get_text

  end subroutine read_weights

  !> Words as JSON writes them in a list.
  pure function json_list(words, separator) result(json)
    character(len=*), intent(in) :: words
    character, intent(in) :: separator
    character(len=:), allocatable :: json

    character(len=:), allocatable :: rest
    integer :: last

    json = '['
    rest = words//separator
    do while (rest /= '')
      last = index(rest, separator)
      if (len(json) > 1) json = json//', '
      json = json//'"'//trim(adjustl(rest(:last - 1)))//'"'
      rest = rest(last + 1:)
    end do
    json = json//']'
  end function json_list

  !> Numbers as JSON writes them in a list, with digits enough to give each back.
  pure function json_numbers(numbers) result(json)
    real(real32), intent(in) :: numbers(:)
    character(len=:), allocatable :: json

    character(len=20) :: digits
    integer :: i

    json = ''
    do i = 1, size(numbers)
      write (digits, '(es16.8e3)') numbers(i)
      json = json//', '//trim(adjustl(digits))
    end do
    json = '['//json(3:)//']'
  end function json_numbers

end module aeroact_weights
