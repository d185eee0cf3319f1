!> The network evaluated in Fortran alone, for a host without ONNX Runtime or with few columns.
!!
!! Clip to bounds, logarithm, z-score, dense layers with ReLU or its square, sigmoid; all in
!! single precision.
!! States go through in tiles small enough for the cache: the inner loops run along the samples of
!! a strip, with the sums of eight outputs in registers. A few columns go one by one, with the
!! inner loops along the outputs. Either way each sum is taken in the same order, so that the
!! answer for a column does not depend on which others are beside it.
!!
!! The `!$omp simd` directives make vectors of these loops wherever -fopenmp-simd is given, as the
!! CMake build does; a compiler left to itself does so only at higher levels than a host's -O, and
!! not always in the same order. What threads enter is `recursive`, or gfortran's -fcheck=recursion
!! would stop them.
module aeroact_native
  use, intrinsic :: iso_c_binding, only: c_intptr_t, c_loc
  use, intrinsic :: iso_fortran_env, only: int32, real32, real64
  use aeroact_floats, only: infinity_bits, is_finite
  use aeroact_schema, only: AEROACT_NMODES, AEROACT_NSTATE
  use aeroact_status, only: AEROACT_INVALID_ARGUMENT, AEROACT_NO_MEMORY, AEROACT_NOT_LOADED, &
    AEROACT_OK, AEROACT_SHAPE_MISMATCH, fail, succeed
  implicit none
  private

  public :: native_create, native_predict, native_prepare, native_widths

  integer, parameter :: STRIP = 16
    !! samples of an inner loop: one vector of AVX-512, two of AVX2, four of SSE2
  integer, parameter :: TILE = 32
    !! samples that go through all layers together
  integer, parameter :: LANES = 8
    !! outputs whose sums are in registers at once
  integer, parameter :: LINE = 16
    !! numbers in a cache line
  integer, parameter :: FEW = 8
    !! up to as many columns go one by one

  real(real32), parameter :: ln2_high = 0.693359375_real32
    !! log(2) to 9 bits, so that its product with an exponent is exact
  real(real32), parameter :: ln2_low = -2.12194440e-4_real32
    !! what is missing from log(2)

  !> A dense layer; the outputs are filled up with zeros to whole groups of LANES.
  type :: dense_layer
    real(real32), allocatable :: kernel(:, :, :)
      !! (LANES, inputs, groups)
    real(real32), allocatable :: bias(:, :)
      !! (LANES, groups)
  end type dense_layer

  !> A network, once created. It is only read by `native_predict`: threads may share it.
  type, public :: native_network
    private
    type(dense_layer), allocatable :: layers(:)
    integer :: width = 0
      !! outputs of the widest layer, filled up
    logical :: squared = .false.
      !! whether hidden layers have the square of ReLU
    real(real32), dimension(AEROACT_NSTATE) :: low, high, mean, scale
    logical :: is_log(AEROACT_NSTATE)
  end type native_network

  !> Scratch of `native_predict`, one for each thread. It is allocated by the first call.
  type, public :: native_workspace
    private
    real(real32), allocatable :: a(:), b(:)
  end type native_workspace

contains

  !> Make a network from its weights. If anything is wrong, the network is not loaded.
  subroutine native_create(network, widths, weights, clip_low, clip_high, is_log, floor, &
    mean, std, stat, errmsg, squared)
    type(native_network), intent(out) :: network
      !! not loaded if anything is wrong
    integer, intent(in) :: widths(:)
      !! 16, the nodes of the hidden layers, 4
    real(real32), intent(in) :: weights(:)
      !! kernel, then bias, of one layer after another; the weights of one input lie together
    real(real32), dimension(AEROACT_NSTATE), intent(in) :: clip_low, clip_high
      !! a state beyond these counts as these, in schema units
    logical, intent(in) :: is_log(AEROACT_NSTATE)
      !! the columns of which the logarithm is taken
    real(real32), intent(in) :: floor(AEROACT_NSTATE)
      !! smallest value that enters a logarithm
    real(real32), dimension(AEROACT_NSTATE), intent(in) :: mean, std
      !! z = (t - mean) / std, with t the clipped state or its logarithm
    integer, intent(out) :: stat
      !! `AEROACT_OK`, or what went wrong
    character(len=*), intent(out), optional :: errmsg
      !! what went wrong, in a sentence
    logical, intent(in), optional :: squared
      !! whether the hidden layers have max(0, x)**2 in place of max(0, x), as they do unless told

    type(dense_layer), allocatable :: layers(:)
    real(real32), dimension(AEROACT_NSTATE) :: low, high
    integer :: i, n_in, n_out, first, refused, n_layers
    logical :: squares

    squares = .false.
    if (present(squared)) squares = squared
    n_layers = size(widths) - 1
    if (n_layers < 1) then
      call refuse('The network has no layer. Give the widths 16, those of the hidden layers, 4.')
      return
    else if (any(widths < 1) .or. widths(1) /= AEROACT_NSTATE &
      .or. widths(n_layers + 1) /= AEROACT_NMODES) then
      call refuse('The widths of the network are not 16, those of the hidden layers, 4.')
      return
    else if (size(weights) /= sum((widths(:n_layers) + 1)*widths(2:))) then
      call refuse('The network has too few or too many weights for its widths.')
      return
    else if (.not. (all(is_finite(weights)) .and. all(is_finite(mean)) &
      .and. all(is_finite(clip_low)) .and. all(is_finite(clip_high)))) then
      call refuse('A weight, a mean or a bound of the network is not finite. Export it again.')
      return
    else if (.not. (all(is_finite(std)) .and. all(is_finite(floor)))) then
      call refuse('A standard deviation or a floor of the network is not finite. Export it again.')
      return
    else if (any(std < tiny(std)) .or. any(is_log .and. floor < tiny(floor)) &
      .or. any(clip_low > clip_high)) then
      call refuse('A standard deviation or a floor of the network is not positive, or a lower &
        &bound is above the upper one. Export it again.')
      return
    end if
    ! The floor of a logarithm is one more lower bound.
    low = merge(max(clip_low, floor), clip_low, is_log)
    high = max(low, clip_high)
    if (.not. is_bounded(widths, weights, low, high, is_log, mean, std, squares)) then
      call refuse('A sum in the network could overflow for some state: its weights are too large. &
        &Export it again.')
      return
    end if

    allocate (layers(n_layers), stat=refused)
    first = 0
    do i = 1, n_layers
      if (refused /= 0) exit
      n_in = widths(i)
      n_out = widths(i + 1)
      call pack_layer(weights(first + 1:first + n_in*n_out), &
        weights(first + n_in*n_out + 1:first + (n_in + 1)*n_out), layers(i), refused)
      first = first + (n_in + 1)*n_out
    end do
    if (refused /= 0) then
      call fail(AEROACT_NO_MEMORY, 'There is no memory for the weights of the network.', &
        stat, errmsg)
      return
    end if

    call move_alloc(layers, network%layers)
    network%width = LANES*((maxval(widths) + LANES - 1)/LANES)
    network%squared = squares
    network%low = low
    network%high = high
    network%is_log = is_log
    network%mean = mean
    network%scale = 1/std
    call succeed(stat, errmsg)

  contains

    subroutine refuse(sentence)
      character(len=*), intent(in) :: sentence

      call fail(AEROACT_INVALID_ARGUMENT, sentence, stat, errmsg)
    end subroutine refuse

  end subroutine native_create

  !> Whether no state can make a sum, or its square, overflow: the largest magnitude of each
  !! activation, for all states within the bounds, is carried from layer to layer.
  pure function is_bounded(widths, weights, low, high, is_log, mean, std, squared) result(bounded)
    integer, intent(in) :: widths(:)
    real(real32), intent(in) :: weights(:)
    real(real32), dimension(AEROACT_NSTATE), intent(in) :: low, high, mean, std
    logical, intent(in) :: is_log(AEROACT_NSTATE), squared
    logical :: bounded

    real(real64), allocatable :: largest(:), raised(:), sums(:)
    real(real64) :: ends(2)
    integer :: first, i, k

    bounded = .false.
    allocate (largest(AEROACT_NSTATE))
    do k = 1, AEROACT_NSTATE
      ends = [low(k), high(k)]
      ! Compilers may take logarithms that are not asked for: none of them is to raise a flag.
      if (is_log(k)) ends = log(max(ends, tiny(ends)))
      largest(k) = maxval(abs(ends - mean(k)))/std(k)
    end do
    first = 1
    do i = 1, size(widths) - 1
      allocate (sums(widths(i + 1)), raised(widths(i + 1)))
      raised = weights(first + widths(i)*widths(i + 1):first + (widths(i) + 1)*widths(i + 1) - 1)
      sums = abs(raised)
      raised = max(raised, 0.0_real64)
      do k = 1, widths(i)
        associate (kernel => weights(first:first + widths(i + 1) - 1))
          sums = sums + largest(k)*abs(kernel)
          ! Behind a ReLU nothing is negative, so that only positive weights raise the next.
          raised = raised + largest(k)*merge(abs(kernel), max(kernel, 0.0_real32), i == 1)
        end associate
        first = first + widths(i + 1)
      end do
      first = first + widths(i + 1)
      if (squared .and. i < size(widths) - 1) raised = raised*raised
      ! A tenth of the range is left to rounding.
      if (max(maxval(sums), maxval(raised)) > 0.1_real64*huge(1.0_real32)) return
      call move_alloc(raised, largest)
      deallocate (sums)
    end do
    bounded = .true.
  end function is_bounded

  !> Predict `fn` for states. A state that holds a NaN gets NaN, with no IEEE flag raised.
  pure recursive subroutine native_predict(network, workspace, x, fn, stat, errmsg)
    type(native_network), intent(in) :: network
      !! made by `native_create`
    type(native_workspace), intent(inout), target :: workspace
      !! of this thread; it serves networks of any width
    real(real32), intent(in), contiguous :: x(:, :)
      !! states (16, ncol) in the schema's order and units
    real(real32), intent(inout), contiguous :: fn(:, :)
      !! activated fractions (4, ncol)
    integer, intent(out) :: stat
      !! `AEROACT_OK`, or what went wrong
    character(len=*), intent(out), optional :: errmsg
      !! what went wrong, in a sentence

    integer :: column, first, from_a, from_b, n, refused

    call succeed(stat, errmsg)
    n = size(x, 2)
    if (.not. allocated(network%layers)) then
      call fail(AEROACT_NOT_LOADED, 'The network is not loaded. Call native_create on it first and &
        &check its status.', stat, errmsg)
      return
    else if (size(x, 1) /= AEROACT_NSTATE .or. size(fn, 1) /= AEROACT_NMODES &
      .or. size(fn, 2) /= n) then
      call fail(AEROACT_SHAPE_MISMATCH, 'The arrays are not x(16, ncol) and fn(4, ncol).', &
        stat, errmsg)
      return
    end if

    call reserve(workspace, merge(1, TILE, n <= FEW)*network%width, refused)
    if (refused /= 0) then
      call fail(AEROACT_NO_MEMORY, 'There is no memory for the scratch of the network.', &
        stat, errmsg)
      return
    end if

    from_a = start_of_line(workspace%a)
    from_b = start_of_line(workspace%b)
    do first = 1, n, TILE
      if (n - first < FEW) then
        do column = first, n
          call predict_column(network, workspace%a, workspace%b, x(:, column), fn(:, column))
        end do
      else
        call predict_tile(network, min(TILE, n - first + 1), workspace%a(from_a:), &
          workspace%b(from_b:), x(:, first:), fn(:, first:))
      end if
    end do
  end subroutine native_predict

  !> Allocate the scratch, so that `native_predict` need not.
  pure recursive subroutine native_prepare(network, workspace, stat, errmsg)
    type(native_network), intent(in) :: network
      !! made by `native_create`
    type(native_workspace), intent(inout) :: workspace
      !! this thread's
    integer, intent(out) :: stat
      !! `AEROACT_OK` or `AEROACT_NO_MEMORY`
    character(len=*), intent(out), optional :: errmsg
      !! what went wrong, in a sentence

    integer :: refused

    call reserve(workspace, TILE*network%width, refused)
    if (refused == 0) then
      call succeed(stat, errmsg)
    else
      call fail(AEROACT_NO_MEMORY, 'There is no memory for the scratch of the network.', &
        stat, errmsg)
    end if
  end subroutine native_prepare

  !> Nodes of the hidden layers.
  pure function native_widths(network) result(widths)
    type(native_network), intent(in) :: network
      !! made by `native_create`
    integer, allocatable :: widths(:)

    integer :: i

    widths = [integer ::]
    if (.not. allocated(network%layers)) return
    widths = [(size(network%layers(i)%kernel, 2), i=2, size(network%layers))]
  end function native_widths

  !> Lay out the weights of a layer as the inner loops read them.
  pure subroutine pack_layer(kernel, bias, layer, refused)
    real(real32), intent(in) :: bias(:), kernel(:)
    type(dense_layer), intent(out) :: layer
    integer, intent(out) :: refused

    integer :: group, groups, lane, n_in, n_out, output

    n_out = size(bias)
    n_in = size(kernel)/n_out
    groups = (n_out + LANES - 1)/LANES
    allocate (layer%kernel(LANES, n_in, groups), layer%bias(LANES, groups), stat=refused)
    if (refused /= 0) return
    layer%kernel = 0
    layer%bias = 0
    do output = 1, n_out
      group = (output - 1)/LANES + 1
      lane = output - LANES*(group - 1)
      layer%kernel(lane, :, group) = kernel(output::n_out)
      layer%bias(lane, group) = bias(output)
    end do
  end subroutine pack_layer

  !> The first number that begins a cache line: a vector that spans two takes twice as long.
  pure recursive function start_of_line(scratch) result(first)
    real(real32), intent(in), contiguous, target :: scratch(:)
    integer :: first

    integer(c_intptr_t) :: address

    address = transfer(c_loc(scratch), address)
    first = 1 + int(modulo(-address/4, int(LINE, c_intptr_t)))
  end function start_of_line

  !> See that the scratch is large enough, wherever in it a cache line begins.
  pure recursive subroutine reserve(workspace, needed, refused)
    type(native_workspace), intent(inout) :: workspace
    integer, intent(in) :: needed
    integer, intent(out) :: refused

    refused = 0
    if (allocated(workspace%b)) then
      if (size(workspace%b) >= needed + LINE) return
    end if
    if (allocated(workspace%a)) deallocate (workspace%a)
    if (allocated(workspace%b)) deallocate (workspace%b)
    allocate (workspace%a(needed + LINE), workspace%b(needed + LINE), stat=refused)
  end subroutine reserve

  !> Up to TILE states, layer by layer; a and b take turns as input and output.
  !!
  !! They are two arrays, not one with a third dimension: gfortran then knows that a layer's output
  !! does not overlap its input, and keeps the sums in registers. The kernel is twice as fast.
  pure recursive subroutine predict_tile(network, rows, a, b, x, fn)
    type(native_network), intent(in) :: network
    integer, intent(in) :: rows
    real(real32), intent(inout) :: a(TILE, *), b(TILE, *)
    real(real32), intent(in) :: x(AEROACT_NSTATE, rows)
    real(real32), intent(inout) :: fn(AEROACT_NMODES, rows)

    integer(int32) :: invalid(TILE)
    integer :: i, n_layers, strips
    logical :: squared

    n_layers = size(network%layers)
    strips = (rows + STRIP - 1)/STRIP
    call normalize_tile(network, rows, strips, x, a, invalid)
    do i = 1, n_layers
      squared = network%squared .and. i < n_layers
      associate (layer => network%layers(i))
        if (modulo(i, 2) == 1) then
          call dense_tile(size(layer%kernel, 2), size(layer%kernel, 3), strips, i < n_layers, &
            layer%kernel, layer%bias, a, b)
          if (squared) call square(TILE, size(layer%bias), STRIP*strips, b)
        else
          call dense_tile(size(layer%kernel, 2), size(layer%kernel, 3), strips, i < n_layers, &
            layer%kernel, layer%bias, b, a)
          if (squared) call square(TILE, size(layer%bias), STRIP*strips, a)
        end if
      end associate
    end do
    if (modulo(n_layers, 2) == 1) then
      call fractions_of_tile(rows, strips, invalid, b, fn)
    else
      call fractions_of_tile(rows, strips, invalid, a, fn)
    end if
  end subroutine predict_tile

  !> Clip, logarithm and z-score; the samples become the first dimension.
  pure recursive subroutine normalize_tile(network, rows, strips, x, z, invalid)
    type(native_network), intent(in) :: network
    integer, intent(in) :: rows, strips
    real(real32), intent(in) :: x(AEROACT_NSTATE, rows)
    real(real32), intent(out) :: z(TILE, AEROACT_NSTATE)
    integer(int32), intent(out) :: invalid(TILE)

    real(real32) :: t(STRIP)
    integer(int32) :: bits, is_nan
    integer :: first, j, s

    invalid(:STRIP*strips) = 0
    do s = 1, rows
      z(s, :) = x(:, s)
    end do
    do s = rows + 1, STRIP*strips
      z(s, :) = x(:, rows)
    end do
    do j = 1, AEROACT_NSTATE
      do first = 0, STRIP*(strips - 1), STRIP
        !$omp simd private(bits, is_nan)
        do s = 1, STRIP
          bits = transfer(z(first + s, j), bits)
          is_nan = merge(-1_int32, 0_int32, iand(bits, huge(bits)) > infinity_bits)
          invalid(first + s) = ior(invalid(first + s), is_nan)
          t(s) = min(max(transfer(iand(bits, not(is_nan)), t(s)), network%low(j)), network%high(j))
        end do
        if (network%is_log(j)) call take_log(t)
        !$omp simd
        do s = 1, STRIP
          z(first + s, j) = (t(s) - network%mean(j))*network%scale(j)
        end do
      end do
    end do
  end subroutine normalize_tile

  !> One layer for the samples of some strips.
  !!
  !! The length of the vectors is given: of AVX-512 gfortran would often use only half.
  pure recursive subroutine dense_tile(n_in, groups, strips, relu, kernel, bias, a, y)
    integer, intent(in) :: n_in, groups, strips
    logical, intent(in) :: relu
    real(real32), intent(in) :: kernel(LANES, n_in, groups), bias(LANES, groups), a(TILE, n_in)
    real(real32), intent(out) :: y(TILE, LANES, groups)

    real(real32) :: lowest, y1, y2, y3, y4, y5, y6, y7, y8
    integer :: first, g, k, s

    if (n_in < 1) return  ! never, and so the compiler need not guard the inner loop
    lowest = merge(0.0_real32, -huge(lowest), relu)
    do g = 1, groups
      do first = 0, STRIP*(strips - 1), STRIP
        !$omp simd simdlen(STRIP) private(y1, y2, y3, y4, y5, y6, y7, y8, k)
        do s = first + 1, first + STRIP
          y1 = bias(1, g)
          y2 = bias(2, g)
          y3 = bias(3, g)
          y4 = bias(4, g)
          y5 = bias(5, g)
          y6 = bias(6, g)
          y7 = bias(7, g)
          y8 = bias(8, g)
          do k = 1, n_in
            y1 = y1 + kernel(1, k, g)*a(s, k)
            y2 = y2 + kernel(2, k, g)*a(s, k)
            y3 = y3 + kernel(3, k, g)*a(s, k)
            y4 = y4 + kernel(4, k, g)*a(s, k)
            y5 = y5 + kernel(5, k, g)*a(s, k)
            y6 = y6 + kernel(6, k, g)*a(s, k)
            y7 = y7 + kernel(7, k, g)*a(s, k)
            y8 = y8 + kernel(8, k, g)*a(s, k)
          end do
          y(s, 1, g) = max(y1, lowest)
          y(s, 2, g) = max(y2, lowest)
          y(s, 3, g) = max(y3, lowest)
          y(s, 4, g) = max(y4, lowest)
          y(s, 5, g) = max(y5, lowest)
          y(s, 6, g) = max(y6, lowest)
          y(s, 7, g) = max(y7, lowest)
          y(s, 8, g) = max(y8, lowest)
        end do
      end do
    end do
  end subroutine dense_tile

  !> Sigmoid of the last layer; the samples become the second dimension again.
  pure recursive subroutine fractions_of_tile(rows, strips, invalid, y, fn)
    integer, intent(in) :: rows, strips
    integer(int32), intent(in) :: invalid(TILE)
    real(real32), intent(inout) :: y(TILE, AEROACT_NMODES)
    real(real32), intent(inout) :: fn(AEROACT_NMODES, rows)

    integer :: first, mode, s

    do mode = 1, AEROACT_NMODES
      do first = 0, STRIP*(strips - 1), STRIP
        call take_sigmoid(y(first + 1:first + STRIP, mode))
      end do
    end do
    do s = 1, rows
      do mode = 1, AEROACT_NMODES
        fn(mode, s) = transfer(ior(transfer(y(s, mode), 0_int32), invalid(s)), 0.0_real32)
      end do
    end do
  end subroutine fractions_of_tile

  !> One state; a and b take turns as input and output.
  pure recursive subroutine predict_column(network, a, b, x, fn)
    type(native_network), intent(in) :: network
    real(real32), intent(inout) :: a(*), b(*)
    real(real32), intent(in) :: x(AEROACT_NSTATE)
    real(real32), intent(inout) :: fn(AEROACT_NMODES)

    real(real32) :: y(STRIP)
    integer(int32) :: invalid
    integer :: i, mode, n_layers
    logical :: squared

    n_layers = size(network%layers)
    call normalize_column(network, x, a, invalid)
    do i = 1, n_layers
      squared = network%squared .and. i < n_layers
      associate (layer => network%layers(i))
        if (modulo(i, 2) == 1) then
          call dense_column(size(layer%kernel, 2), size(layer%kernel, 3), i < n_layers, &
            layer%kernel, layer%bias, a, b)
          if (squared) call square(size(layer%bias), 1, size(layer%bias), b)
        else
          call dense_column(size(layer%kernel, 2), size(layer%kernel, 3), i < n_layers, &
            layer%kernel, layer%bias, b, a)
          if (squared) call square(size(layer%bias), 1, size(layer%bias), a)
        end if
      end associate
    end do
    y = 0
    if (modulo(n_layers, 2) == 1) then
      y(:AEROACT_NMODES) = b(:AEROACT_NMODES)
    else
      y(:AEROACT_NMODES) = a(:AEROACT_NMODES)
    end if
    call take_sigmoid(y)
    do mode = 1, AEROACT_NMODES
      fn(mode) = transfer(ior(transfer(y(mode), invalid), invalid), fn(mode))
    end do
  end subroutine predict_column

  !> Clip, logarithm and z-score of one state, all columns at once: there are STRIP of them.
  pure recursive subroutine normalize_column(network, x, z, invalid)
    type(native_network), intent(in) :: network
    real(real32), intent(in) :: x(STRIP)
    real(real32), intent(out) :: z(STRIP)
    integer(int32), intent(out) :: invalid

    real(real32) :: logarithm(STRIP), t(STRIP)
    integer(int32) :: bits, is_nan
    integer :: j

    invalid = 0
    !$omp simd private(bits, is_nan) reduction(ior: invalid)
    do j = 1, STRIP
      bits = transfer(x(j), bits)
      is_nan = merge(-1_int32, 0_int32, iand(bits, huge(bits)) > infinity_bits)
      invalid = ior(invalid, is_nan)
      t(j) = min(max(transfer(iand(bits, not(is_nan)), t(j)), network%low(j)), network%high(j))
      logarithm(j) = merge(t(j), 1.0_real32, network%is_log(j))
    end do
    call take_log(logarithm)
    !$omp simd
    do j = 1, STRIP
      t(j) = merge(logarithm(j), t(j), network%is_log(j))
      z(j) = (t(j) - network%mean(j))*network%scale(j)
    end do
  end subroutine normalize_column

  !> One layer for one state, four groups at a time and then what is left over.
  pure recursive subroutine dense_column(n_in, groups, relu, kernel, bias, a, y)
    integer, intent(in) :: n_in, groups
    logical, intent(in) :: relu
    real(real32), intent(in) :: kernel(LANES, n_in, groups), bias(LANES, groups), a(n_in)
    real(real32), intent(out) :: y(LANES, groups)

    real(real32) :: lowest, y1, y2, y3, y4
    integer :: g, k, o, whole

    if (n_in < 1) return  ! never, and so the compiler need not guard the inner loop
    lowest = merge(0.0_real32, -huge(lowest), relu)
    whole = groups - modulo(groups, 4)
    do g = 1, whole, 4
      !$omp simd private(y1, y2, y3, y4, k)
      do o = 1, LANES
        y1 = bias(o, g)
        y2 = bias(o, g + 1)
        y3 = bias(o, g + 2)
        y4 = bias(o, g + 3)
        do k = 1, n_in
          y1 = y1 + kernel(o, k, g)*a(k)
          y2 = y2 + kernel(o, k, g + 1)*a(k)
          y3 = y3 + kernel(o, k, g + 2)*a(k)
          y4 = y4 + kernel(o, k, g + 3)*a(k)
        end do
        y(o, g) = max(y1, lowest)
        y(o, g + 1) = max(y2, lowest)
        y(o, g + 2) = max(y3, lowest)
        y(o, g + 3) = max(y4, lowest)
      end do
    end do
    do g = whole + 1, groups
      !$omp simd private(y1, k)
      do o = 1, LANES
        y1 = bias(o, g)
        do k = 1, n_in
          y1 = y1 + kernel(o, k, g)*a(k)
        end do
        y(o, g) = max(y1, lowest)
      end do
    end do
  end subroutine dense_column

  !> Squares of the first numbers of each column, in place.
  !!
  !! Not a part of the dense layers: gfortran would make slower code of these, squares or not.
  pure recursive subroutine square(rows, columns, first, y)
    integer, intent(in) :: rows, columns, first
    real(real32), intent(inout) :: y(rows, columns)

    integer :: j, s

    do j = 1, columns
      !$omp simd
      do s = 1, first
        y(s, j) = y(s, j)*y(s, j)
      end do
    end do
  end subroutine square

  !> Natural logarithm of positive normal numbers, to about 1 ulp.
  !!
  !! x = 2**e m with m from sqrt(1/2) to sqrt(2); log(m) = 2 artanh(r) with r = (m - 1)/(m + 1).
  !! |r| < 0.172, so that the first term left out of the series, r**10/11, is 2e-9.
  pure recursive subroutine take_log(x)
    real(real32), intent(inout) :: x(STRIP)

    integer(int32), parameter :: sqrt_half = int(z'3F3504F3', int32)
    real(real32) :: m, q, r
    integer(int32) :: bits, e
    integer :: s

    !$omp simd private(bits, e, m, q, r)
    do s = 1, STRIP
      bits = transfer(x(s), bits)
      e = shifta(bits - sqrt_half, 23)
      m = transfer(bits - shiftl(e, 23), m)
      r = (m - 1)/(m + 1)
      q = r*r
      r = r + r
      q = q*(1/3.0_real32 + q*(1/5.0_real32 + q*(1/7.0_real32 + q*(1/9.0_real32))))
      x(s) = real(e, real32)*ln2_high + (r + (r*q + real(e, real32)*ln2_low))
    end do
  end subroutine take_log

  !> Sigmoid, 1/(1 + exp(-x)), with x kept where the exponential neither overflows nor vanishes.
  !!
  !! exp(x) = 2**n exp(r) with |r| <= log(2)/2, of which the first term left out of the series,
  !! r**8/40320, is 5e-9.
  pure recursive subroutine take_sigmoid(x)
    real(real32), intent(inout) :: x(STRIP)

    real(real32), parameter :: log2_e = 1.44269504_real32
    real(real32) :: p, r, t
    integer(int32) :: n
    integer :: s

    !$omp simd private(n, p, r, t)
    do s = 1, STRIP
      t = -min(max(x(s), -87.0_real32), 87.0_real32)
      n = int(t*log2_e + sign(0.5_real32, t), int32)
      r = (t - real(n, real32)*ln2_high) - real(n, real32)*ln2_low
      p = 1/24.0_real32 + r*(1/120.0_real32 + r*(1/720.0_real32 + r*(1/5040.0_real32)))
      p = 1 + r*(1 + r*(1/2.0_real32 + r*(1/6.0_real32 + r*p)))
      x(s) = 1/(1 + p*transfer(shiftl(n + 127, 23), p))
    end do
  end subroutine take_sigmoid

end module aeroact_native
