#ifndef CLIENT_CLI_TRANSFER_H_
#define CLIENT_CLI_TRANSFER_H_

#include <string>

#include "client/cli/context.h"

// What the commands that fetch files share.
namespace g2ll::cli {

std::string AbsolutePath(const std::string& path);

// One line on standard error that is written over itself; on a terminal only.
client::TransferProgress TellTransfer(Context& context);

}  // namespace g2ll::cli

#endif  // CLIENT_CLI_TRANSFER_H_
