#ifndef TESTS_FUZZ_REQUEST_KINDS_H_
#define TESTS_FUZZ_REQUEST_KINDS_H_

#include <google/protobuf/message.h>

#include <vector>

// Every message that a client or a worker may send, and what the coordinator does
// with it before its own thread sees it.
namespace g2ll::fuzz {

struct RequestKind {
  // An empty message of the kind.
  const google::protobuf::Message* prototype;
  // Runs the readers of the services on it and ends the process where a promise
  // about what comes out is broken. Null: the services read its fields as they are.
  void (*read)(const google::protobuf::Message&);
};

// In a fixed order: the first letter of an input of the corpus is a position here, so
// new kinds go to the end. request_kinds_test.cc fails while a kind is missing.
const std::vector<RequestKind>& RequestKinds();

}  // namespace g2ll::fuzz

#endif  // TESTS_FUZZ_REQUEST_KINDS_H_
