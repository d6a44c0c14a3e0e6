#ifndef PROTO_COMMON_FAILPOINT_NAMES_H_
#define PROTO_COMMON_FAILPOINT_NAMES_H_

#include <array>
#include <string_view>

namespace g2ll::failpoint {

// Every fail point of the programs, sorted. A name is `area.what.when`; the comment
// above a group says what has happened where the process stops.
inline constexpr std::array kNames = std::to_array<std::string_view>({
    // A unary call: read but not queued; committed but not answered; answered.
    "api.call.answered",
    "api.call.committed",
    "api.call.received",
    // CommitCheckpoint: read; the directory was verified; the row is stored; answered.
    "api.checkpoint.answered",
    "api.checkpoint.committed",
    "api.checkpoint.received",
    "api.checkpoint.verified",
    // CreateJob: read; the job is stored; answered.
    "api.create.answered",
    "api.create.committed",
    "api.create.received",
    // A worker's session: its state was read; the state it should have is about to be written.
    "api.session.push",
    "api.session.received",
    // A server stream is about to write a message.
    "api.stream.write",
    // Telemetry: a batch was read; it is stored; its acknowledgement was given to the transport.
    "api.telemetry.acknowledged",
    "api.telemetry.committed",
    "api.telemetry.received",
    // The core changed its memory; nothing of it is stored yet.
    "core.attempt.broken",
    "core.attempt.finished",
    "core.attempt.placed",
    "core.attempt.running",
    "core.checkpoint.recorded",
    // A batch of changes: about to be stored; stored; followers know; callers are answered;
    // workers have what they should do.
    "core.flush.answered",
    "core.flush.before",
    "core.flush.committed",
    "core.flush.published",
    "core.flush.pushed",
    "core.job.created",
    "core.job.deleted",
    "core.job.moved",
    "core.job.requeued",
    "core.job.resumed",
    "core.job.updated",
    // Telemetry beyond its limits is to go.
    "core.retention.cut",
    // A start: the term is new; the state is loaded; workers are adopted.
    "core.start.done",
    "core.start.loaded",
    "core.start.term",
    // A job was asked to stop: cancelled, paused or put back.
    "core.stop.asked",
    "core.telemetry.recorded",
    // The program: the address file is written; asked to stop; all calls and streams
    // have ended; the store is closed.
    "server.ready.after",
    "server.stop.asked",
    "server.stop.closed",
    "server.stop.drained",
    // A small file that is written beside the old one and renamed over it.
    "storage.file.created",
    "storage.file.renamed",
    "storage.file.synced",
    "storage.file.written",
    // Files of a deleted job are about to go; they are gone, which nobody has noted.
    "storage.remove.after",
    "storage.remove.before",
    // A copy of the store has begun; it is complete.
    "store.backup.begun",
    "store.backup.complete",
    // One transaction: not begun; all statements have run; COMMIT has returned.
    "store.commit.after",
    "store.commit.before",
    "store.commit.written",
    // One step of the schema: not begun; done but not committed; committed.
    "store.migrate.after",
    "store.migrate.before",
    "store.migrate.written",
    // Opening: the lock is held; the file is checked and has the newest schema.
    "store.open.locked",
    "store.open.ready",
    // Rows of what was forgotten: about to go; some have gone.
    "store.purge.after",
    "store.purge.before",
    // A restore: the backup is copied beside the store; the copy is made new; the old store
    // has a second name; its log is gone; the copy has its place.
    "store.restore.copied",
    "store.restore.placed",
    "store.restore.prepared",
    "store.restore.put_away",
    "store.restore.unlogged",
    // The number of this start of a coordinator.
    "store.term.after",
    "store.term.before",
    // Calls of SQLite to the file system (database, log of changes, journal).
    "store.vfs.delete.after",
    "store.vfs.delete.before",
    "store.vfs.sync.after",
    "store.vfs.sync.before",
    "store.vfs.truncate.after",
    "store.vfs.truncate.before",
    "store.vfs.write.after",
    "store.vfs.write.before",
    "store.vfs.write.during",
});

// Place of a point in kNames. A name that is not there does not compile.
consteval size_t IndexOf(std::string_view name) {
  for (size_t i = 0; i < kNames.size(); ++i) {
    if (kNames[i] == name) {
      return i;
    }
  }
  throw "the fail point is not in proto/common/failpoint_names.h";
}

}  // namespace g2ll::failpoint

#endif  // PROTO_COMMON_FAILPOINT_NAMES_H_
