pmoves_library(publisher_jetstream
  SRCS ${CMAKE_CURRENT_LIST_DIR}/jetstream_sink.cc ${CMAKE_CURRENT_LIST_DIR}/stream_room.cc
  DEPS pmoves::publisher_core pmoves::io_config pmoves::io_nats pmoves::proto simdjson::simdjson absl::time)
