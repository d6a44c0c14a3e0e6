#ifndef WORKER_TOOL_MASK_COMMAND_H_
#define WORKER_TOOL_MASK_COMMAND_H_

namespace CLI {
class App;
}

namespace g2ll::tool {

// Adds `mask preview` to `app`; once it has run, `exit_code` is 0 if all pictures are
// drawn, 1 if some were skipped or the disk failed, 2 if none is or usage is wrong.
// `exit_code` must outlive `app`.
void AddMaskCommands(CLI::App& app, int& exit_code);

}  // namespace g2ll::tool

#endif  // WORKER_TOOL_MASK_COMMAND_H_
