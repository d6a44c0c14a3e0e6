#ifndef WORKER_TOOL_TOOL_MAIN_H_
#define WORKER_TOOL_TOOL_MAIN_H_

namespace g2ll::tool {

// Runs `g2ll-trainer tool ...`. argv[0] is the word before the first subcommand
// (`tool`), argv[1] the subcommand: `data generate`, `data check`, `check-data`,
// `mask preview`, `segment` or `compare`. Results go to stdout, faults to stderr, one
// line each.
//
// Returns the exit code: 0 done, 1 the check found something or the work failed, also in
// part, 2 wrong usage or input that cannot be used at all, 6 refused (a folder in the way).
int RunTool(int argc, char** argv);

}  // namespace g2ll::tool

#endif  // WORKER_TOOL_TOOL_MAIN_H_
