! The modules of EAM that aeroact_eam uses, as far as it uses them.

module shr_kind_mod
  implicit none
  integer, parameter :: shr_kind_r8 = selected_real_kind(12)
end module shr_kind_mod

module ppgrid
  implicit none
  integer, parameter :: pcols = 16, pver = 72
  integer :: begchunk, endchunk
end module ppgrid

module spmd_utils
  implicit none
  logical :: masterproc
  integer :: mpicom
end module spmd_utils

module cam_logfile
  implicit none
  integer, parameter :: iulog = 6
end module cam_logfile

module cam_abortutils
  use mpi
  implicit none
contains
  subroutine endrun(msg)
    character(len=*), intent(in) :: msg

    integer :: ierr

    write (0, '(a)') msg
    call MPI_Abort(MPI_COMM_WORLD, 1, ierr)
  end subroutine endrun
end module cam_abortutils
