pmoves_library(subscriber_jetstream
  SRCS ${CMAKE_CURRENT_LIST_DIR}/jetstream_source.cc ${CMAKE_CURRENT_LIST_DIR}/pull_window.cc
       ${CMAKE_CURRENT_LIST_DIR}/ack_reply.cc
  DEPS pmoves::io_nats pmoves::proto absl::time)
