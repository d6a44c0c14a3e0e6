#include "client/cli/cli.h"

int main(int argc, char** argv) { return g2ll::cli::Main(argc, argv, G2LL_VERSION); }
