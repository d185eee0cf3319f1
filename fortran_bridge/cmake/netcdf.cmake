# Sets AEROACT_HAS_NETCDF: can this compiler use netCDF-Fortran? Its flags are what nf-config says
# unless NETCDF_FFLAGS and NETCDF_FLIBS are given.

find_program(NF_CONFIG nf-config)
mark_as_advanced(NF_CONFIG)
if(NF_CONFIG AND NOT NETCDF_FLIBS)
  foreach(flags fflags flibs)
    string(TOUPPER "NETCDF_${flags}" variable)
    execute_process(COMMAND "${NF_CONFIG}" --${flags}
      OUTPUT_VARIABLE said OUTPUT_STRIP_TRAILING_WHITESPACE)
    set(${variable} "${said}" CACHE STRING "netCDF-Fortran's ${flags} of nf-config" FORCE)
  endforeach()
endif()

# A module file of another compiler is found, too, and is of no use.
include(CheckFortranSourceCompiles)
set(CMAKE_REQUIRED_FLAGS "${NETCDF_FFLAGS}")
separate_arguments(CMAKE_REQUIRED_LIBRARIES UNIX_COMMAND "${NETCDF_FLIBS}")
check_fortran_source_compiles("
  program works
    use netcdf
    print *, nf90_inq_libvers()
  end program" NETCDF_WORKS SRC_EXT f90)
unset(CMAKE_REQUIRED_FLAGS)
unset(CMAKE_REQUIRED_LIBRARIES)
set(AEROACT_HAS_NETCDF ${NETCDF_WORKS})

if(AEROACT_NETCDF STREQUAL "ON" AND NOT AEROACT_HAS_NETCDF)
  message(FATAL_ERROR "AEROACT_NETCDF is ON, but ${CMAKE_Fortran_COMPILER} cannot use "
    "netCDF-Fortran. Put its nf-config on the PATH, or give -DNETCDF_FFLAGS= and -DNETCDF_FLIBS=, "
    "in a new build folder.")
endif()
