// config_tables: the list `tables` of the subscriber's configuration.
//
// Thread: start-up only.
#ifndef PMOVES_SUBSCRIBER_CONFIG_TABLES_H_
#define PMOVES_SUBSCRIBER_CONFIG_TABLES_H_

#include <string>
#include <vector>

#include "common/io/config_file.h"
#include "common/io/service_names.h"
#include "subscriber/config.h"

namespace pmoves {

// Fills config->tables. REQUIRES: config->sources and config->conflicts are read.
void ReadTables(ConfigSource* source, const ServiceNames& names, SubscriberConfig* config);

// Adds what is wrong with a list of sources at `sources`.
void CheckSources(ConfigReader& reader, const std::vector<std::string>& sources);

}  // namespace pmoves

#endif  // PMOVES_SUBSCRIBER_CONFIG_TABLES_H_
