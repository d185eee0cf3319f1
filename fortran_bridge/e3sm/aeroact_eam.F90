!> Activation by an emulator in EAM: what `ndrop.F90` calls. See README.md in this folder.
!!
!! At the start anything wrong ends the run, with a sentence. Later only a state that is none does,
!! or arrays of wrong shapes: whatever else goes wrong, ARG2000 answers and the report says so.
module aeroact_eam
  use, intrinsic :: iso_fortran_env, only: int8, int64
  use aeroact, only: AEROACT_ERRMSG_LEN, AEROACT_OK, AEROACT_SHAPE_MISMATCH, &
    AEROACT_STATE_NOT_FINITE, aeroact_init, aeroact_model, aeroact_read_file
  use aeroact_mam4, only: MAM4_NCOUNTS, activate_modal_nn, mam4_activation, mam4_report, &
    mam4_workspace
  use aeroact_namelist, only: aeroact_read_namelist, aeroact_settings
  use cam_abortutils, only: endrun
  use cam_logfile, only: iulog
  use mpi
  use ppgrid, only: begchunk, endchunk
  use shr_kind_mod, only: r8 => shr_kind_r8
  use spmd_utils, only: masterproc, mpicom
  implicit none
  private

  public :: aeroact_eam_readnl, aeroact_eam_on, aeroact_eam_init, aeroact_eam_activate, &
    aeroact_eam_final

  real(r8), parameter :: sigma_g(4) = [1.8_r8, 1.6_r8, 1.8_r8, 1.6_r8]
    !! widths of the modes that emulators are trained for

  type(aeroact_settings), save :: settings
  type(aeroact_model), save :: model
  type(mam4_activation), save :: scheme
  type(mam4_workspace), allocatable, save :: workspaces(:)
    !! one for each chunk, so that it does not matter which thread has which
  logical, save :: warned = .false.

contains

  !> Read the group `aeroact_nl`; every rank gets the settings.
  subroutine aeroact_eam_readnl(nlfile)
    character(len=*), intent(in) :: nlfile

    character(len=AEROACT_ERRMSG_LEN) :: errmsg
    integer :: ierr, stat

    if (masterproc) then
      call aeroact_read_namelist(nlfile, settings, stat, errmsg)
      if (stat /= AEROACT_OK) call endrun('aeroact_eam_readnl: '//trim(errmsg))
    end if
    call MPI_Bcast(settings%on, 1, MPI_LOGICAL, 0, mpicom, ierr)
    call MPI_Bcast(settings%backend, len(settings%backend), MPI_CHARACTER, 0, mpicom, ierr)
    call MPI_Bcast(settings%fallback, 1, MPI_LOGICAL, 0, mpicom, ierr)
  end subroutine aeroact_eam_readnl

  !> Whether the emulator is to be used.
  logical function aeroact_eam_on()
    aeroact_eam_on = settings%on
  end function aeroact_eam_on

  !> Load the emulator: one rank reads the file, the others get its bytes.
  subroutine aeroact_eam_init(sigmag_amode)
    real(r8), intent(in) :: sigmag_amode(:)
      !! geometric standard deviation of each mode

    character(len=AEROACT_ERRMSG_LEN) :: errmsg
    integer(int8), allocatable :: bytes(:)
    integer :: ierr, n, stat

    if (.not. settings%on) return
    if (size(sigmag_amode) /= size(sigma_g)) call endrun('aeroact_eam_init: not four modes')
    if (any(abs(sigmag_amode - sigma_g) > 1e-3_r8)) then
      call endrun('aeroact_eam_init: the modes have not the widths of MAM4')
    end if

    n = 0
    if (masterproc) then
      call aeroact_read_file(trim(settings%file), bytes, stat, errmsg)
      if (stat /= AEROACT_OK) call endrun('aeroact_eam_init: '//trim(errmsg))
      n = size(bytes)
    end if
    call MPI_Bcast(n, 1, MPI_INTEGER, 0, mpicom, ierr)
    if (.not. masterproc) allocate (bytes(n))
    call MPI_Bcast(bytes, n, MPI_BYTE, 0, mpicom, ierr)

    if (settings%backend /= 'native') then
      call aeroact_init(stat, errmsg)
      if (stat /= AEROACT_OK) call endrun('aeroact_eam_init: '//trim(errmsg))
    end if
    call model%load(bytes, stat, errmsg, backend=trim(settings%backend))
    if (stat == AEROACT_OK) call scheme%init(model, stat, errmsg, fallback=settings%fallback)
    if (stat /= AEROACT_OK) call endrun('aeroact_eam_init: '//trim(errmsg))
    if (masterproc) call model%describe(iulog, stat)
    allocate (workspaces(begchunk:endchunk))
  end subroutine aeroact_eam_init

  !> Activated fractions at the masked points of a chunk.
  subroutine aeroact_eam_activate(lchnk, mask, wbar, tair, rhoair, rh, na, volume, hygro, fn, fm, &
    fluxn, fluxm, flux_fullact)
    integer, intent(in) :: lchnk
    logical, intent(in) :: mask(:, :)
      !! (pcols, pver)
    real(r8), dimension(:, :), intent(in) :: wbar, tair, rhoair, rh
      !! (pcols, pver): m s-1, K, kg m-3, 1
    real(r8), dimension(:, :, :), intent(in) :: na, volume, hygro
      !! (pcols, pver, ntot_amode): m-3, m3 m-3, 1
    real(r8), dimension(:, :, :), intent(inout) :: fn, fm, fluxn, fluxm
      !! (pcols, pver, ntot_amode): 1, 1, m s-1, m s-1
    real(r8), intent(inout) :: flux_fullact(:, :)
      !! (pcols, pver): m s-1

    character(len=AEROACT_ERRMSG_LEN) :: errmsg
    integer :: stat

    call activate_modal_nn(scheme, workspaces(lchnk), mask, wbar, tair, rhoair, rh, na, volume, &
      hygro, fn, fm, fluxn, fluxm, flux_fullact, stat, errmsg)
    if (stat == AEROACT_OK) return
    if (any(stat == [AEROACT_STATE_NOT_FINITE, AEROACT_SHAPE_MISMATCH]) &
      .or. .not. settings%fallback) then
      call endrun('aeroact_eam_activate: '//trim(errmsg))
    else if (.not. warned) then
      write (iulog, '(2a)') 'aeroact_eam_activate: ', trim(errmsg)
      warned = .true.
    end if
  end subroutine aeroact_eam_activate

  !> Print what happened to all points of all ranks.
  subroutine aeroact_eam_final()
    integer(int64) :: counts(MAM4_NCOUNTS), total(MAM4_NCOUNTS)
    integer :: c, ierr

    if (.not. settings%on) return
    counts = 0
    do c = begchunk, endchunk
      counts = counts + workspaces(c)%counts
      call workspaces(c)%free()
    end do
    call MPI_Reduce(counts, total, MAM4_NCOUNTS, MPI_INTEGER8, MPI_SUM, 0, mpicom, ierr)
    if (masterproc) call mam4_report(total, iulog)
    call model%free()
  end subroutine aeroact_eam_final

end module aeroact_eam
