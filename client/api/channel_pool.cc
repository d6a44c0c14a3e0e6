#include "client/api/channel_pool.h"

#include <utility>

namespace g2ll::client {

ChannelPool::ChannelPool(MakeChannel make, int streams_per_channel)
    : make_(std::move(make)),
      streams_per_channel_(streams_per_channel),
      first_(make_()),
      entries_{{first_, 0}} {}

ChannelPool::Place::Place(ChannelPool* pool, size_t index, std::shared_ptr<grpc::Channel> channel)
    : pool_(pool), index_(index), channel_(std::move(channel)) {}

ChannelPool::Place::~Place() {
  const std::scoped_lock lock(pool_->mutex_);
  --pool_->entries_[index_].streams;
}

std::unique_ptr<ChannelPool::Place> ChannelPool::TakePlace() {
  const std::scoped_lock lock(mutex_);
  size_t index = 0;
  while (index < entries_.size() && entries_[index].streams >= streams_per_channel_) ++index;
  if (index == entries_.size()) entries_.push_back({make_(), 0});
  ++entries_[index].streams;
  return std::make_unique<Place>(this, index, entries_[index].channel);
}

}  // namespace g2ll::client
