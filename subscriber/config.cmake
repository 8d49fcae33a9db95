pmoves_library(subscriber_config
  SRCS ${PROJECT_SOURCE_DIR}/subscriber/config.cc
  DEPS pmoves::io_config)
