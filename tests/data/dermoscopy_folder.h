#ifndef TESTS_DATA_DERMOSCOPY_FOLDER_H_
#define TESTS_DATA_DERMOSCOPY_FOLDER_H_

#include <string>

namespace g2ll::data::test {

// The folder of real images: what G2LL_DERMOSCOPY_DIR names, else
// shared/data/dermoscopy beside the checkout. Most machines have none.
std::string DermoscopyFolder();

}  // namespace g2ll::data::test

#endif  // TESTS_DATA_DERMOSCOPY_FOLDER_H_
