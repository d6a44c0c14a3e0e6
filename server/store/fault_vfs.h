#ifndef SERVER_STORE_FAULT_VFS_H_
#define SERVER_STORE_FAULT_VFS_H_

namespace g2ll::store {

// Puts the fail points `store.vfs.*` between SQLite and the file system, for all
// databases that this process opens from now on. Called once, before the first.
void InstallFaultVfs();

}  // namespace g2ll::store

#endif  // SERVER_STORE_FAULT_VFS_H_
