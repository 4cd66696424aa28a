# What the plugin and its tests need of vendors' libraries: MB_VENDOR_SOURCES, MB_VENDOR_DEFINITIONS,
# MB_VENDOR_INCLUDES, MB_VENDOR_RUNPATH. Set CUDAToolkit variables first.
#
# Vendors' libraries are opened at run time; the build needs their headers alone, from the toolkit,
# the system or the wheels that PyTorch brings. Wheels and toolkits may lie on no loader path: their
# folders go into the plugin's RUNPATH, which comes after LD_LIBRARY_PATH.
file(GLOB wheels ${PROJECT_SOURCE_DIR}/.venv/lib/python3*/site-packages/nvidia/*)
if(MB_TORCH_DIR)
  get_filename_component(site_packages ${MB_TORCH_DIR} DIRECTORY)
  file(GLOB more ${site_packages}/nvidia/*)
  list(APPEND wheels ${more})
endif()
find_package(Python3 QUIET COMPONENTS Interpreter)
if(Python3_Interpreter_FOUND)
  execute_process(COMMAND ${Python3_EXECUTABLE} -c
    "import glob, nvidia; print(';'.join(p for root in nvidia.__path__ for p in glob.glob(root + '/*')))"
    OUTPUT_VARIABLE more OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  list(APPEND wheels ${more})
endif()
list(REMOVE_DUPLICATES wheels)
list(TRANSFORM wheels APPEND /include OUTPUT_VARIABLE wheel_includes)
find_path(MB_CUBLASLT_INCLUDE_DIR cublasLt.h
          HINTS ${CUDAToolkit_INCLUDE_DIRS} PATHS ${wheel_includes})
find_path(MB_CUDNN_INCLUDE_DIR cudnn.h
          HINTS ${CUDNN_ROOT}/include $ENV{CUDNN_ROOT}/include ${CUDAToolkit_INCLUDE_DIRS}
          PATHS ${wheel_includes})

set(dir ${CMAKE_CURRENT_LIST_DIR})
set(MB_VENDOR_SOURCES ${dir}/vendor.c ${dir}/vendor_api.c)
set(MB_VENDOR_DEFINITIONS "")
set(MB_VENDOR_INCLUDES "")
if(MB_CUBLASLT_INCLUDE_DIR)
  list(APPEND MB_VENDOR_SOURCES ${dir}/cublaslt_matmul.c)
  list(APPEND MB_VENDOR_DEFINITIONS MB_CUBLASLT_HEADERS)
  list(APPEND MB_VENDOR_INCLUDES ${MB_CUBLASLT_INCLUDE_DIR})
else()
  message(STATUS "CUDA: no cublasLt.h: built without cuBLASLt")
endif()
if(MB_CUDNN_INCLUDE_DIR)
  list(APPEND MB_VENDOR_SOURCES ${dir}/cudnn_conv2d.c ${dir}/cudnn_graph.c
       ${dir}/cudnn_legacy.c)
  list(APPEND MB_VENDOR_DEFINITIONS MB_CUDNN_HEADERS)
  list(APPEND MB_VENDOR_INCLUDES ${MB_CUDNN_INCLUDE_DIR})
else()
  message(STATUS "CUDA: no cudnn.h (CUDNN_ROOT names its folder): built without cuDNN")
endif()

set(MB_VENDOR_RUNPATH "")
foreach(wheel IN LISTS wheels)
  if(EXISTS ${wheel}/lib)
    list(APPEND MB_VENDOR_RUNPATH ${wheel}/lib)
  endif()
endforeach()
list(APPEND MB_VENDOR_RUNPATH ${CUDAToolkit_LIBRARY_DIR})
