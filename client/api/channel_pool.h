#ifndef CLIENT_API_CHANNEL_POOL_H_
#define CLIENT_API_CHANNEL_POOL_H_

#include <grpcpp/channel.h>

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace g2ll::client {

// The connections of one client. Short calls share the first; streams are spread so
// that none holds more than a fixed number of them. Thread safe.
class ChannelPool {
 public:
  using MakeChannel = std::function<std::shared_ptr<grpc::Channel>()>;

  // `make` gives a channel with a connection of its own each time that it is called.
  ChannelPool(MakeChannel make, int streams_per_channel);
  ChannelPool(const ChannelPool&) = delete;
  ChannelPool& operator=(const ChannelPool&) = delete;

  // For calls that end soon.
  const std::shared_ptr<grpc::Channel>& first() const { return first_; }

  // A place on a connection for one stream; gives it back when it goes. The pool
  // outlives it.
  class Place {
   public:
    Place(ChannelPool* pool, size_t index, std::shared_ptr<grpc::Channel> channel);
    ~Place();
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;
    const std::shared_ptr<grpc::Channel>& channel() const { return channel_; }

   private:
    ChannelPool* const pool_;
    const size_t index_;
    const std::shared_ptr<grpc::Channel> channel_;
  };
  std::unique_ptr<Place> TakePlace();

 private:
  struct Entry {
    std::shared_ptr<grpc::Channel> channel;
    int streams = 0;
  };

  const MakeChannel make_;
  const int streams_per_channel_;
  const std::shared_ptr<grpc::Channel> first_;
  std::mutex mutex_;
  std::vector<Entry> entries_;
};

}  // namespace g2ll::client

#endif  // CLIENT_API_CHANNEL_POOL_H_
