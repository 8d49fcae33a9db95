pmoves_library(publisher_config
  SRCS ${PROJECT_SOURCE_DIR}/publisher/config.cc
  DEPS pmoves::io_config)
