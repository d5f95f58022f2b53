# find_package(mncc): the program MNCC_EXECUTABLE, the function mncc_add_model, the library mncc::mnrt.
include(CMakeFindDependencyMacro)
find_dependency(Threads)
include(${CMAKE_CURRENT_LIST_DIR}/mnrt-targets.cmake)
include(${CMAKE_CURRENT_LIST_DIR}/MnccModel.cmake)
# The mncc installed beside this file comes first; where one compiles for another machine, it is
# that of this machine, on the PATH.
find_program(MNCC_EXECUTABLE mncc HINTS ${CMAKE_CURRENT_LIST_DIR}/../../../bin ${CMAKE_CURRENT_LIST_DIR}/../../../../bin)
if(NOT MNCC_EXECUTABLE)
  set(mncc_FOUND FALSE)
  set(mncc_NOT_FOUND_MESSAGE "there is no program mncc")
endif()
