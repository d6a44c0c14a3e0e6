#ifndef PROTO_COMMON_STATUS_MACROS_H_
#define PROTO_COMMON_STATUS_MACROS_H_

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

// Returns from the enclosing function with the status of `expr` if it is an error.
// `expr` yields an absl::Status; the function returns absl::Status or absl::StatusOr.
#define G2LL_RETURN_IF_ERROR(expr)                                  \
  do {                                                              \
    if (::absl::Status g2ll_status_ = (expr); !g2ll_status_.ok()) { \
      return g2ll_status_;                                          \
    }                                                               \
  } while (false)

// Evaluates `expr`, an absl::StatusOr<T>; returns its status from the enclosing
// function if it is an error, else moves the value to `lhs`, which may declare a
// variable: G2LL_ASSIGN_OR_RETURN(auto image, ReadImage(path));
// A type with a comma in it needs `auto` or an alias. Not usable as the single
// statement of an `if` without braces.
#define G2LL_ASSIGN_OR_RETURN(lhs, expr) \
  G2LL_ASSIGN_OR_RETURN_IMPL_(G2LL_STATUS_CONCAT_(g2ll_status_or_, __LINE__), lhs, expr)

#define G2LL_STATUS_CONCAT_(a, b) G2LL_STATUS_CONCAT_INNER_(a, b)
#define G2LL_STATUS_CONCAT_INNER_(a, b) a##b
#define G2LL_ASSIGN_OR_RETURN_IMPL_(temporary, lhs, expr)    \
  auto temporary = (expr);                                   \
  if (!temporary.ok()) return std::move(temporary).status(); \
  lhs = std::move(temporary).value()

#endif  // PROTO_COMMON_STATUS_MACROS_H_
