# mncc_add_model(TARGET NET.mn [OBJECT] [NAME name] [WEIGHTS FILE] [OPTIONS option...])
#
# Compiles a network with mncc and makes it a static library TARGET, whose users find its header:
#
#     mncc_add_model(digits_model digits.mn)
#     target_link_libraries(digits PRIVATE digits_model)      # digits.c: #include "model.h"
#
#   OBJECT    mncc makes the object itself, by LLVM, and no C is compiled
#   NAME      of the files, NAME.c (or NAME.o) and NAME.h; else "model"
#   WEIGHTS   a safetensors file, or random:SEED; else what the network names or what lies beside it
#   OPTIONS   further options of mncc's, as in OPTIONS --alpha 1/2 --prefix tiny
#
# The network is compiled again when its text, a file that it includes, its weights or mncc change. In mncc's own tree the
# program is the one being built; elsewhere it is MNCC_EXECUTABLE.
cmake_policy(SET CMP0116 NEW) # paths in a DEPFILE are the build folder's, with every generator
function(mncc_add_model target network)
  cmake_parse_arguments(PARSE_ARGV 2 arg "OBJECT" "NAME;WEIGHTS" "OPTIONS")
  if(arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "mncc_add_model: '${arg_UNPARSED_ARGUMENTS}' is no argument; options of mncc's go behind OPTIONS")
  endif()
  if(NOT arg_NAME)
    set(arg_NAME model)
  endif()
  get_filename_component(network ${network} ABSOLUTE)
  string(REGEX REPLACE "\\.mn$" ".safetensors" weights ${network})
  set(depends ${network})
  if(arg_WEIGHTS)
    set(weights ${arg_WEIGHTS})
    if(NOT weights MATCHES "^random:")
      get_filename_component(weights ${weights} ABSOLUTE)
    endif()
    list(APPEND arg_OPTIONS --weights ${weights})
  endif()
  if(EXISTS ${weights})
    list(APPEND depends ${weights})
  endif()
  if(TARGET mncc)
    set(program $<TARGET_FILE:mncc>)
    list(APPEND depends mncc)
  elseif(MNCC_EXECUTABLE)
    set(program ${MNCC_EXECUTABLE})
    list(APPEND depends ${MNCC_EXECUTABLE})
  else()
    message(FATAL_ERROR "mncc_add_model: set MNCC_EXECUTABLE to the mncc that runs on this machine")
  endif()

  # A folder each, since two models may be files of one name.
  set(folder ${CMAKE_CURRENT_BINARY_DIR}/${target})
  file(MAKE_DIRECTORY ${folder})
  set(made ${folder}/${arg_NAME}.c)
  if(arg_OBJECT)
    set(made ${folder}/${arg_NAME}${CMAKE_C_OUTPUT_EXTENSION})
    list(APPEND arg_OPTIONS -c)
  endif()
  set(header ${folder}/${arg_NAME}.h)
  add_custom_command(
    OUTPUT ${made} ${header}
    COMMAND ${program} ${network} -o ${made} -MMD -MF ${made}.d ${arg_OPTIONS}
    DEPENDS ${depends}
    DEPFILE ${made}.d
    COMMENT "Compiling network ${target}"
    VERBATIM)
  add_library(${target} STATIC ${made} ${header})
  set_target_properties(${target} PROPERTIES LINKER_LANGUAGE C)
  target_include_directories(${target} PUBLIC ${folder})
endfunction()
