#include "tests/data/dermoscopy_folder.h"

#include <cstdlib>
#include <filesystem>

namespace g2ll::data::test {

std::string DermoscopyFolder() {
  const char* set_by_user = std::getenv("G2LL_DERMOSCOPY_DIR");
  return std::filesystem::weakly_canonical(
      set_by_user != nullptr ? set_by_user : G2LL_SOURCE_DIR "/../shared/data/dermoscopy");
}

}  // namespace g2ll::data::test
