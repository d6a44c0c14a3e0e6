#ifndef TESTS_FUZZ_FIELD_MUTATOR_H_
#define TESTS_FUZZ_FIELD_MUTATOR_H_

#include <google/protobuf/message.h>

#include <cstddef>
#include <cstdint>

namespace g2ll::fuzz {

// Changes some of `size` bytes in place and returns the new size, at most `max_size`.
using MutateBytes = size_t (*)(uint8_t* data, size_t size, size_t max_size);

// Changes one field somewhere in `message`, chosen by `seed`: another value, one more
// or one less element, or no value. Texts may become bytes that are no UTF-8.
void MutateOneField(google::protobuf::Message* message, unsigned int seed,
                    MutateBytes mutate_bytes);

}  // namespace g2ll::fuzz

#endif  // TESTS_FUZZ_FIELD_MUTATOR_H_
