!> Calls aeroact_eam as EAM would, on each rank with two chunks of the same columns.
!!
!!     eam_host NAMELIST
program eam_host
  use mpi
  use aeroact_eam
  use ppgrid, only: begchunk, endchunk, pcols, pver
  use shr_kind_mod, only: r8 => shr_kind_r8
  use spmd_utils, only: masterproc, mpicom
  implicit none

  character(len=4096) :: nlfile
  integer :: c, ierr, k, rank
  logical :: mask(pcols, pver)
  real(r8), dimension(pcols, pver) :: flux_fullact, rh, rhoair, tair, wbar
  real(r8), dimension(pcols, pver, 4) :: fm, fn, fluxm, fluxn, hygro, na, volume

  call MPI_Init(ierr)
  mpicom = MPI_COMM_WORLD
  call MPI_Comm_rank(mpicom, rank, ierr)
  masterproc = rank == 0
  begchunk = 1 + 2*rank
  endchunk = begchunk + 1
  call get_command_argument(1, nlfile)

  call aeroact_eam_readnl(trim(nlfile))
  call aeroact_eam_init([1.8_r8, 1.6_r8, 1.8_r8, 1.6_r8])
  if (aeroact_eam_on()) then
    do k = 1, pver
      mask(:, k) = modulo(k, 2) == 0
      tair(:, k) = 215 + k
      rhoair(:, k) = 0.3_r8 + 0.01_r8*k
    end do
    rh = 0.95_r8
    wbar = 0.3_r8
    na = spread(spread([3e8_r8, 6e8_r8, 4e5_r8, 6e7_r8], 1, pver), 1, pcols)
    volume = spread(spread([2e-12_r8, 2e-14_r8, 2e-12_r8, 5e-14_r8], 1, pver), 1, pcols)
    hygro = spread(spread([0.4_r8, 0.4_r8, 0.7_r8, 1e-7_r8], 1, pver), 1, pcols)
    do c = begchunk, endchunk
      call aeroact_eam_activate(c, mask, wbar, tair, rhoair, rh, na, volume, hygro, fn, fm, &
        fluxn, fluxm, flux_fullact)
      write (*, '(a, i0, 2es24.16)') 'chunk ', c, sum(fn), sum(fluxm)
    end do
  else
    write (*, '(a)') 'off'
  end if
  call aeroact_eam_final()
  call MPI_Finalize(ierr)
end program eam_host
