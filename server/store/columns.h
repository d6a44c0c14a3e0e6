#ifndef SERVER_STORE_COLUMNS_H_
#define SERVER_STORE_COLUMNS_H_

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "server/cluster/records.h"

// Values that fill one text column of the store as JSON. Reading never fails:
// text that cannot be read, which this program never writes, gives an empty value.
namespace g2ll::store {

std::string ToColumn(const std::map<std::string, std::string>& labels);
// Numbers are kept as text, because JSON has no NaN and no infinity.
std::string ToColumn(const std::map<std::string, double>& metrics);
std::string ToColumn(const std::vector<std::string>& names);
std::string ToColumn(const std::vector<cluster::Dependency>& dependencies);
std::string ToColumn(const std::vector<cluster::LineageRecord>& lineage);
std::string ToColumn(const std::vector<cluster::ExcludedWorker>& excluded);
std::string ToColumn(const std::vector<cluster::LogSegment>& segments);
std::string ToColumn(const cluster::JobProgress& progress);
std::string ToColumn(const std::optional<cluster::BestMetric>& best);
std::string ToColumn(const std::optional<cluster::FailureRecord>& failure);

void FromColumn(const std::string& text, std::map<std::string, std::string>* labels);
void FromColumn(const std::string& text, std::map<std::string, double>* metrics);
void FromColumn(const std::string& text, std::vector<std::string>* names);
void FromColumn(const std::string& text, std::vector<cluster::Dependency>* dependencies);
void FromColumn(const std::string& text, std::vector<cluster::LineageRecord>* lineage);
void FromColumn(const std::string& text, std::vector<cluster::ExcludedWorker>* excluded);
void FromColumn(const std::string& text, std::vector<cluster::LogSegment>* segments);
void FromColumn(const std::string& text, cluster::JobProgress* progress);
void FromColumn(const std::string& text, std::optional<cluster::BestMetric>* best);
void FromColumn(const std::string& text, std::optional<cluster::FailureRecord>* failure);

}  // namespace g2ll::store

#endif  // SERVER_STORE_COLUMNS_H_
