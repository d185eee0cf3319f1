!> How much memory this process has taken, for tests that look for leaks.
module testing_memory
  use, intrinsic :: iso_c_binding, only: c_associated, c_f_procpointer, c_funptr, c_int, c_long, &
    c_null_ptr, c_size_t
  use, intrinsic :: iso_fortran_env, only: int64
  use aeroact_dl, only: dl_symbol
  implicit none
  private

  public :: heap_bytes, resident_kib, limit_memory

  !> What the GNU C library's mallinfo2 returns.
  type, bind(c) :: heap_info
    integer(c_size_t) :: arena, ordblks, smblks, hblks, hblkhd, usmblks, fsmblks
    integer(c_size_t) :: uordblks, fordblks, keepcost
  end type heap_info

  type, bind(c) :: resource_limit
    integer(c_long) :: soft, hard
  end type resource_limit

  integer(c_int), parameter :: RLIMIT_AS = 9  ! Linux

  abstract interface
    function mallinfo2_i() bind(c) result(info)
      import :: heap_info
      type(heap_info) :: info
    end function mallinfo2_i
  end interface

  interface
    function getrlimit(resource, limit) bind(c) result(code)
      import :: c_int, resource_limit
      integer(c_int), value :: resource
      type(resource_limit), intent(out) :: limit
      integer(c_int) :: code
    end function getrlimit

    function setrlimit(resource, limit) bind(c) result(code)
      import :: c_int, resource_limit
      integer(c_int), value :: resource
      type(resource_limit), intent(in) :: limit
      integer(c_int) :: code
    end function setrlimit
  end interface

contains

  !> Bytes in use on the heap, to the byte; 0 where the C library does not tell.
  function heap_bytes() result(bytes)
    integer(int64) :: bytes

    procedure(mallinfo2_i), pointer :: mallinfo2
    type(c_funptr) :: address
    type(heap_info) :: info

    bytes = 0
    address = dl_symbol(c_null_ptr, 'mallinfo2')
    if (.not. c_associated(address)) return
    call c_f_procpointer(address, mallinfo2)
    info = mallinfo2()
    bytes = int(info%uordblks + info%hblkhd, int64)
  end function heap_bytes

  !> Resident memory; 0 where Linux's /proc is not to be had.
  function resident_kib() result(kib)
    integer :: kib

    kib = read_status('VmRSS:')
  end function resident_kib

  !> Allow so many more bytes of memory than there are now; all there is, if negative.
  subroutine limit_memory(more, done)
    integer(int64), intent(in) :: more
    logical, intent(out) :: done

    type(resource_limit) :: limit

    integer :: size_kib

    size_kib = read_status('VmSize:')
    done = size_kib > 0
    if (done) done = getrlimit(RLIMIT_AS, limit) == 0
    if (.not. done) return
    limit%soft = limit%hard
    if (more >= 0) limit%soft = int(1024_int64*size_kib + more, c_long)
    done = setrlimit(RLIMIT_AS, limit) == 0
  end subroutine limit_memory

  !> A number of /proc/self/status, in KiB.
  function read_status(name) result(kib)
    character(len=*), intent(in) :: name
    integer :: kib

    character(len=200) :: line
    integer :: failed, unit

    kib = 0
    open (newunit=unit, file='/proc/self/status', status='old', action='read', iostat=failed)
    if (failed /= 0) return
    do
      read (unit, '(a)', iostat=failed) line
      if (failed /= 0) exit
      if (index(line, name) == 1) read (line(len(name) + 1:), *) kib
    end do
    close (unit)
  end function read_status

end module testing_memory
