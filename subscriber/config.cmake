pmoves_library(subscriber_config
  SRCS ${PROJECT_SOURCE_DIR}/subscriber/config.cc ${PROJECT_SOURCE_DIR}/subscriber/config_tables.cc
       ${PROJECT_SOURCE_DIR}/subscriber/config_conflicts.cc
  DEPS pmoves::io_config pmoves::subscriber_core)
